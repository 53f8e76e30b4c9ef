// A device of private conversations on ts-mls, as spec/src/mls.md says: a stranger that knows the profile and RFC 9420. It is told
// what to do by lines of JSON, and answers each by one: `{"op": …}`, then the result or `{"refused": "why"}`. Bytes are in hex.
//
// It does what the chapter asks beyond MLS only as far as interop/tests/ts_mls.rs needs it, and is no client.

import { createInterface } from "node:readline"
import { p256 } from "@noble/curves/nist.js"
import {
  createApplicationMessage,
  createCommit,
  createGroup,
  createGroupInfoWithExternalPubAndRatchetTree,
  emptyPskIndex,
  encodeMlsMessage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  processMessage,
  zeroOutUint8Array,
} from "ts-mls"
import { createGroupInfoWithRatchetTree } from "ts-mls/createCommit.js"
import { bytes, configOf, exported, forkCheck, headerHash, hex, pad, parse, same, unpad } from "./profile.mjs"

const SUITE = "MLS_128_DHKEMP256_AES128GCM_SHA256_P256"
const suite = await getCiphersuiteImpl(getCiphersuiteFromName(SUITE))

// MLS-024, MLS-017.
const LAST_RESORT = 0x000a
const capabilities = {
  versions: ["mls10"],
  ciphersuites: [SUITE],
  extensions: [LAST_RESORT],
  proposals: [],
  credentials: ["basic"],
}

const HOUR = 3600n
const DAYS_84 = 84n * 24n * HOUR

// MLS-003: the certificate names the leaf's key. Its place is that of the test's certificates.
const config = configOf(async (credential, signatureKey) => same(credential.identity.subarray(32, 32 + 65), signatureKey))

// MLS-004: an uncompressed point. The library's own key generation compresses.
const signKey = p256.utils.randomSecretKey()
const keys = { signKey, publicKey: p256.getPublicKey(signKey, false) }

let certificate
let keyPackage
let group

const operations = {
  key() {
    return { key: hex(keys.publicKey) }
  },

  certify(asked) {
    certificate = bytes(asked.certificate)
    return {}
  },

  async key_package(asked) {
    keyPackage = await newKeyPackage(asked.last_resort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : [])
    return { key_package: message("mls_key_package", { keyPackage: keyPackage.publicPackage }) }
  },

  async create(asked) {
    const own = await newKeyPackage([])
    group = await createGroup(bytes(asked.group_id), own.publicPackage, own.privatePackage, [], suite, config)
    return {}
  },

  async join(asked) {
    const { welcome } = parse(bytes(asked.welcome), "mls_welcome")
    const { publicPackage, privatePackage } = keyPackage
    group = await joinGroup(welcome, publicPackage, privatePackage, emptyPskIndex, suite, undefined, undefined, config)
    return {}
  },

  // By an external commit that removes its old leaf. It is not entered: the tests are about whether it can be made.
  async rejoin(asked) {
    const { groupInfo } = parse(bytes(asked.group_info), "mls_group_info")
    const { publicPackage, privatePackage } = await newKeyPackage([])
    const header = headerHash(bytes(asked.header))
    const made = await joinGroupExternal(groupInfo, publicPackage, privatePackage, true, suite, undefined, config, header)
    return { commit: message("mls_public_message", { publicMessage: made.publicMessage }) }
  },

  async group_info(asked) {
    const groupInfo = asked.as_the_library_has_it
      ? await createGroupInfoWithExternalPubAndRatchetTree(group, [], suite)
      : await groupInfoNow()
    return { group_info: message("mls_group_info", { groupInfo }) }
  },

  async write(asked) {
    const made = await createApplicationMessage(group, pad(bytes(asked.content)), suite, headerHash(bytes(asked.header)))
    enter(made)
    return { message: message("mls_private_message", { privateMessage: made.privateMessage }) }
  },

  async read(asked) {
    const parsed = parse(bytes(asked.message), "mls_private_message")
    checkHeader(parsed.privateMessage.authenticatedData, asked.header)
    const read = await processMessage(parsed, group, emptyPskIndex, () => "accept", suite)
    if (read.kind !== "applicationMessage") throw new Error("not an application message")
    enter(read)
    return { content: hex(unpad(read.message)) }
  },

  // Makes a commit and enters its epoch at once: the test's server takes everything.
  async commit(asked) {
    const add = asked.add.map((added) => ({
      proposalType: "add",
      add: { keyPackage: parse(bytes(added), "mls_key_package").keyPackage },
    }))
    const remove = asked.remove.map((removed) => ({ proposalType: "remove", remove: { removed } }))
    const made = await createCommit(
      { state: group, cipherSuite: suite },
      { extraProposals: [...remove, ...add], ratchetTreeExtension: true, authenticatedData: headerHash(bytes(asked.header)) },
    )
    const answer = { commit: hex(encodeMlsMessage(made.commit)) }
    if (made.welcome) answer.welcome = message("mls_welcome", { welcome: made.welcome })
    if (!asked.only_try) enter(made)
    return answer
  },

  // Follows a commit, which has to renew its maker's leaf (MLS-007).
  async follow(asked) {
    const parsed = parse(bytes(asked.commit), asked.external ? "mls_public_message" : "mls_private_message")
    const { authenticatedData } = asked.external ? parsed.publicMessage.content : parsed.privateMessage
    checkHeader(authenticatedData, asked.header)
    const before = group.ratchetTree
    let committer
    const followed = await processMessage(
      parsed,
      group,
      emptyPskIndex,
      (incoming) => {
        committer = incoming.senderLeafIndex
        return "accept"
      },
      suite,
    )
    if (followed.kind !== "newState") throw new Error("not a commit")
    enter(followed)
    const leaf = (tree) => tree[2 * committer]?.leaf.hpkePublicKey
    const renewed = committer === undefined || !same(leaf(before), leaf(group.ratchetTree))
    return { renewed }
  },

  async state() {
    return {
      epoch: Number(group.groupContext.epoch),
      authenticator: hex(group.keySchedule.epochAuthenticator),
      exported: await exported(group, "label", "context", suite),
      fork_check: await forkCheck(group, suite),
      active: group.groupActiveState.kind === "active",
    }
  },
}

async function newKeyPackage(extensions) {
  const now = BigInt(Math.floor(Date.now() / 1000))
  const lifetime = { notBefore: now - HOUR, notAfter: now + DAYS_84 }
  const credential = { credentialType: "basic", identity: certificate }
  return generateKeyPackageWithKey(credential, capabilities, lifetime, extensions, keys, suite)
}

// MLS-013. The extension holds the key with its length before it (RFC 9420, section 12.4.3.2), which the library leaves out.
async function groupInfoNow() {
  const { publicKey } = await suite.hpke.deriveKeyPair(group.keySchedule.externalSecret)
  const key = await suite.hpke.exportPublicKey(publicKey)
  const externalPub = { extensionType: "external_pub", extensionData: new Uint8Array([0x40, key.length, ...key]) }
  const { groupContext, confirmationTag, ratchetTree } = group
  return createGroupInfoWithRatchetTree(groupContext, confirmationTag, group, ratchetTree, [externalPub], suite)
}

// The state that something led to; what it used up is deleted, and past epochs are (MLS-018).
function enter({ newState, consumed }) {
  consumed.forEach(zeroOutUint8Array)
  group = { ...newState, historicalReceiverData: new Map() }
}

function message(wireformat, body) {
  return hex(encodeMlsMessage({ version: "mls10", wireformat, ...body }))
}

function checkHeader(authenticatedData, header) {
  if (!same(authenticatedData, headerHash(bytes(header)))) throw new Error("header mismatch")
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  const answer = await (async () => operations[asked.op](asked))().catch((error) => ({ refused: String(error) }))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
