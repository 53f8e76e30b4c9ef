use super::*;

fn load(steps: &str) -> Result<Loaded, LoadError> {
    let text = format!(
        "id: x\ntitle: x\nactors: {{alice: {{}}, bob: {{of: alice}}, carol: {{}}, mallory: {{}}, eve: {{}}}}\n\
         rooms: {{room: {{owner: alice, members: [carol]}}}}\nsteps:\n{steps}"
    );
    one("area/x.yaml", &text)
}

fn why(steps: &str) -> String {
    load(steps).map(|loaded| loaded.name).unwrap_err().why
}

#[test]
fn what_the_readme_shows_can_be_loaded() {
    let readme = include_str!("../../../README.md");
    let blocks: Vec<_> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4);
    let mut whole = 0;
    for block in blocks {
        if block.starts_with("rooms:") || block.starts_with("groups:") {
            continue;
        }
        let loaded = if block.contains("\nid: ") {
            whole += 1;
            one("room/room-send-reaches-members.yaml", block)
        } else {
            let indented: String = block.lines().map(|line| format!("  {line}\n")).collect();
            load(&format!("  - let: {{old_nonce: x, old_client: x, group: x}}\n{indented}"))
        };
        if let Err(error) = loaded {
            panic!("{error}\n{block}");
        }
    }
    assert_eq!(whole, 1);
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (steps, expected) in [
        (
            "  - alice: {send: {create_rom: {}}}",
            "line 6 column 19: ClientFrame has no field \"create_rom\"",
        ),
        ("  - alice: {send: {join: {conversation: $room}}}", "Join has no field \"conversation\""),
        ("  - alice: {expect: {sent: {sec: 1}}}", "Sent has no field \"sec\""),
        ("  - alice: {expect: {event: {entry: {kind: MESAGE}}}}", "EntryKind has no value MESAGE"),
        ("  - alice: {expect: {error: NOT_MEMBER}}", "ErrorCode has no value NOT_MEMBER"),
        ("  - alice: {expect_closed: NOT_A_MEMBER}", "line 6: NOT_A_MEMBER does not close"),
        ("  - alice: {sent: {}}", "unknown field `sent`"),
        (
            "  - alicia: {send: {ping: {}}}",
            "line 6: there is no actor and no kind of step \"alicia\"",
        ),
        ("  - alice: {send: {ping: {data: $dat}}}", "\"$dat\": nothing sets $dat"),
        ("  - alice: {send: {ping: {data: $randm(3)}}}", "there is no function $randm"),
        (
            "  - alice: {send: {ping: {data: \"$slice($room)\"}}}",
            "$slice takes 2 to 3 arguments, not 1",
        ),
        ("  - alice: {send: {ping: {data: {$bind_proof: {bindng: none}}}}}", "takes no \"bindng\""),
        ("  - check: {that: $room, is: {$gr: 3}}", "there is no function $gr"),
        ("  - check: {that: $room, is: $any, cites: [ROOM-999]}", "no requirement ROOM-999"),
        ("  - let: {text: 3}", "$text is a function"),
        ("  - alice: {send: {ping: {}}}\n    bob: {}", "a step has one key"),
        (
            "  - alice: {send: [{ping: {}}, {ping: {}}], expect: [{pong: {}}]}",
            "2 requests, but 1 replies",
        ),
        ("  - repeat: {steps: []}", "repeat takes either times or until_empty"),
        ("  - alice: {expect_refused: {tls: any}}", "expect_refused stands beside connect"),
        (
            "  - alice: {mls: {commit: {conversation: $room, add: [bobby]}}}",
            "there is no actor and no kind of step \"bobby\"",
        ),
        (
            "  - alice: {mls: {commit: {conversation: $room, header: {aded: []}}}}",
            "CommitHeader has no field \"aded\"",
        ),
        ("  - alice: {mls: {comit: {}}}", "comit"),
        ("  - alice: {mls: {read: {conversation: $room, text: hi}}}", "takes either seq or entry"),
        (
            "  - alice: {mls: {join: {conversation: $room, refused: STALE}}}",
            "unknown variant `STALE`",
        ),
        (
            "  - alice: {mls: {send: {conversation: $room, text: hi}}, expect: {event: {gap: {}}}}",
            "beside mls the reply is expected",
        ),
        (
            "  - alice: {mls: {follow: {conversation: $room}}, send: {ping: {}}}",
            "one of send, send_raw, ws_send and mls",
        ),
    ] {
        let why = why(steps);
        assert!(why.contains(expected), "{steps}\ngave {why}\nnot {expected}");
    }
}

#[test]
fn files_are_named_as_their_ids() {
    let script = "id: y\ntitle: y\nsteps: []";
    assert!(one("area/x.yaml", script).unwrap_err().why.contains("the file is area/x.yaml"));
    assert!(one("y.yaml", script).unwrap_err().why.contains("folder of its area"));
    let needs = one("area/y.yaml", "id: y\ntitle: y\nneeds: [walk]\nsteps: []").unwrap_err().why;
    assert!(needs.contains("\"walk\""), "{needs}");
}

#[test]
fn what_a_script_does_says_what_it_needs() {
    let needs = |steps: &str| load(steps).unwrap().needs.into_iter().collect::<Vec<_>>();
    assert_eq!(needs("  - alice: {connect: {transport: websocket}}"), ["websocket"]);
    assert_eq!(needs("  - server: restart"), ["control.restart"]);
    assert_eq!(needs("  - server: kill"), ["control.kill"]);
    assert_eq!(needs("  - server: {notice: hello}"), ["control.notice"]);
    let negative = |steps: &str| load(steps).unwrap().bystander;
    assert_eq!(negative("  - alice: {send: {ping: {}}, expect: {pong: {}}}"), Bystander::None);
    assert_eq!(
        negative("  - alice: {send: {ping: {}}, expect: {error: WRONG_PHASE}}"),
        Bystander::Full
    );
    assert_eq!(
        negative("  - alice: {send_raw: $u32(0), expect_closed: FRAME_EMPTY}"),
        Bystander::Full
    );
    assert_eq!(
        negative("  - server: stop\n  - alice: {expect_closed: SHUTTING_DOWN}"),
        Bystander::Fresh
    );
}
