//! What an operator decides. One table of settings, from defaults, a TOML file, `ASIDE_*` variables and flags, in that order.

use std::{net::SocketAddr, path::PathBuf};

use aside_proto::{limits, retention, v1};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The effective configuration of a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address and port to listen on, for frames and WebSocket alike.
    pub listen: SocketAddr,
    /// The folder for the database and the development certificate.
    pub data: PathBuf,
    /// The database; empty means `aside.db` in `data`.
    pub database: String,
    /// Where Prometheus metrics are served; empty means nowhere.
    pub metrics: String,
    /// Certificate and names.
    pub server: ServerConfig,
    /// Who may register.
    pub registration: Registration,
    /// The cost of a stored password.
    pub password: PasswordConfig,
    /// What WebSocket clients may do.
    pub websocket: WebSocketConfig,
    /// Token buckets.
    pub rates: Rates,
    /// Connections the server takes.
    pub connections: Connections,
    /// What the server advertises in Greeted.
    pub limits: v1::Limits,
    /// What is kept of each log at the most; a room's owner may keep less (RET-001). What is beyond it is removed for ever.
    pub retention: v1::Retention,
    /// Logs.
    pub log: LogConfig,
}

/// Certificate and names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The names that clients may dial (HELLO-009). The development certificate is made for them.
    pub names: Vec<String>,
    /// PEM file of the certificate chain; empty means a development certificate in `data`.
    pub certificate: String,
    /// PEM file of its private key.
    pub key: String,
    /// The room that newcomers are shown first.
    pub default_room: String,
    /// What every connection is told once when it has logged in (NOTE-002), at most 1024 bytes; empty means nothing.
    pub notice: String,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone.
    Open,
    /// No one.
    Closed,
}

/// The cost of Argon2id for new passwords, and how much of it runs at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordConfig {
    /// Memory for one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Hashes made at once; 0 means one for each core.
    pub workers: usize,
    /// Hashes that may wait; beyond, SERVER_BUSY.
    pub queue: usize,
}

/// What WebSocket clients may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebSocketConfig {
    /// Origins that browsers may come from (WS-004). A request without `Origin` is not from a browser and is taken.
    pub origins: Vec<String>,
    /// Whether log-in without channel binding is offered (HELLO-015).
    pub allow_unbound: bool,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens there are at the most.
    pub burst: u32,
}

/// The server's token buckets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Registrations from one address.
    pub register_per_address: Rate,
    /// Log-ins from one address.
    pub login_per_address: Rate,
    /// Password log-ins to one handle.
    pub login_per_handle: Rate,
    /// Messages of one account.
    pub messages_per_user: Rate,
    /// Other requests of one account.
    pub requests_per_user: Rate,
    /// Searches of one account, which cost more than other requests.
    pub searches_per_user: Rate,
    /// Changes of what one account lets others see, of which everyone is told who shares a room with it.
    pub presence_per_user: Rate,
    /// Requests of one account for KeyPackages, which are used up by it (KP-010).
    pub claims_per_user: Rate,
    /// Such requests of others for one account's KeyPackages.
    pub claims_per_target: Rate,
    /// Commits and new groups of one account (DS-026).
    pub commits_per_user: Rate,
    /// Users that one account makes members of private conversations (PRIV-020).
    pub members_per_user: Rate,
    /// Entries that one account publishes to its device log: all of it is verified anew each time (DEVLOG-011).
    pub device_logs_per_user: Rate,
    /// What one account's devices say to each other (RELAY-006).
    pub relays_per_user: Rate,
}

/// Connections the server takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// In all.
    pub total: usize,
    /// From one address (LIM-008).
    pub per_address: usize,
    /// How long before it stops a server warns its connections, in milliseconds (NOTE-004); 0 means not at all.
    pub shutdown_notice_ms: u64,
    /// How long a stopping server waits for connections to end, in milliseconds.
    pub shutdown_grace_ms: u64,
}

/// Where logs go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// A `tracing` filter, such as `info` or `info,aside_server=debug`.
    pub filter: String,
    /// A folder for daily files; empty means the console alone.
    pub directory: String,
    /// Days that are kept.
    pub keep_days: usize,
    /// JSON lines instead of text.
    pub json: bool,
}

/// What follows `ASIDE_` in variables that are not settings of a server.
const OTHER_VARIABLES: &[&str] = &[
    "config",
    "password",
    "token",
    "data_dir",
    "target",
    "target_ca",
    "target_sni",
    "target_cmd",
    "profile",
    "report",
    "deadline_ms",
    "write_schema",
];

/// A configuration that can't be used; the sentence names the setting.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file, a variable or a setting does not parse or has an unknown name.
    #[error("{0}")]
    Invalid(String),
    /// A limit that the specification does not allow.
    #[error("[limits] {0}")]
    Limit(#[from] limits::LimitError),
}

impl Default for Config {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], aside_proto::DEFAULT_PORT)),
            data: PathBuf::from("aside-data"),
            database: String::new(),
            metrics: String::new(),
            server: ServerConfig {
                names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
                certificate: String::new(),
                key: String::new(),
                default_room: "lobby".to_owned(),
                notice: String::new(),
            },
            registration: Registration::Open,
            password: PasswordConfig {
                memory_kib: 19 * 1024,
                iterations: 2,
                workers: 0,
                queue: 64,
            },
            websocket: WebSocketConfig { origins: Vec::new(), allow_unbound: false },
            rates: Rates {
                register_per_address: rate(0.1, 20),
                login_per_address: rate(2.0, 100),
                login_per_handle: rate(0.2, 20),
                messages_per_user: rate(20.0, 100),
                requests_per_user: rate(50.0, 500),
                searches_per_user: rate(2.0, 20),
                presence_per_user: rate(0.2, 20),
                // What was claimed is kept to be said again, for as long as keys are (IDEM-006).
                claims_per_user: rate(0.05, 50),
                claims_per_target: rate(0.2, 100),
                // Each may be as large as a frame, and stays in a log.
                commits_per_user: rate(1.0, 100),
                // Nobody is asked before: some four thousand a day, and one large group at once.
                members_per_user: rate(0.05, 1000),
                device_logs_per_user: rate(0.1, 20),
                relays_per_user: rate(0.5, 30),
            },
            connections: Connections {
                total: 20_000,
                per_address: 500,
                shutdown_notice_ms: 3_000,
                shutdown_grace_ms: 5_000,
            },
            limits: limits::DEFAULT,
            retention: retention::NONE,
            log: LogConfig {
                filter: "info".to_owned(),
                directory: String::new(),
                keep_days: 14,
                json: false,
            },
        }
    }
}

impl Config {
    /// A configuration for tests and demonstrations on loopback: a free port, cheap Argon2, rates that a test does not meet.
    #[must_use]
    pub fn for_tests(data: impl Into<PathBuf>) -> Self {
        let endless = Rate { per_second: 1e6, burst: 1_000_000 };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: data.into(),
            password: PasswordConfig { memory_kib: 64, iterations: 1, workers: 0, queue: 1024 },
            rates: Rates {
                register_per_address: endless,
                login_per_address: endless,
                login_per_handle: endless,
                messages_per_user: endless,
                requests_per_user: endless,
                searches_per_user: endless,
                presence_per_user: endless,
                claims_per_user: endless,
                claims_per_target: endless,
                commits_per_user: endless,
                members_per_user: endless,
                device_logs_per_user: endless,
                relays_per_user: endless,
            },
            connections: Connections {
                total: 20_000,
                per_address: 20_000,
                shutdown_notice_ms: 0,
                shutdown_grace_ms: 2_000,
            },
            ..Self::default()
        }
    }

    /// The defaults, overridden by the TOML file's text, then by `ASIDE_*` variables, then by `key=value` settings.
    ///
    /// A variable's name is that of the setting in capitals, with `__` between levels: `ASIDE_LIMITS__MAX_IN_FLIGHT`.
    /// Those of the clients and of the conformance suite, such as ASIDE_PASSWORD, are left alone.
    ///
    /// # Errors
    /// Names the setting at fault.
    pub fn layered(
        file: Option<&str>,
        variables: impl IntoIterator<Item = (String, String)>,
        settings: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let mut table = Self::default().to_table();
        if let Some(text) = file {
            let overlay = text.parse::<Table>().map_err(|e| ConfigError::Invalid(e.to_string()))?;
            merge(&mut table, overlay);
        }
        for (name, value) in variables {
            let Some(path) = name.strip_prefix("ASIDE_") else { continue };
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            if !OTHER_VARIABLES.contains(&&*path.join("__")) {
                set(&mut table, &path, &value)?;
            }
        }
        for (name, value) in settings {
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            set(&mut table, &path, value)?;
        }
        Self::from_table(table)
    }

    /// Applies settings by short names, as conformance scripts give them: `registration`, `origins`,
    /// `allow_unbound_websocket`, `retention`, `login_rate`, `message_rate`, `search_rate`, `presence_rate`, `connection_limit`,
    /// `notice`, `shutdown_notice_ms`, and every limit by its name; `password`, for the cost of one, is for the load generator.
    ///
    /// # Errors
    /// Names the setting at fault.
    pub fn apply_settings(
        &mut self,
        settings: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), ConfigError> {
        let mut table = self.to_table();
        for (name, value) in settings {
            let paths: &[&str] = match name.as_str() {
                "registration" => &["registration"],
                "origins" => &["websocket.origins"],
                "allow_unbound_websocket" => &["websocket.allow_unbound"],
                "notice" => &["server.notice"],
                "retention" => &["retention"],
                "shutdown_notice_ms" => &["connections.shutdown_notice_ms"],
                "connection_limit" => &["connections.per_address"],
                "message_rate" => &["rates.messages_per_user"],
                "search_rate" => &["rates.searches_per_user"],
                "presence_rate" => &["rates.presence_per_user"],
                "claim_rate" => &["rates.claims_per_user"],
                "claimed_rate" => &["rates.claims_per_target"],
                "commit_rate" => &["rates.commits_per_user"],
                "member_rate" => &["rates.members_per_user"],
                "device_log_rate" => &["rates.device_logs_per_user"],
                "relay_rate" => &["rates.relays_per_user"],
                "password" => &["password"],
                "login_rate" => &["rates.login_per_address", "rates.login_per_handle"],
                limit => &[&*format!("limits.{limit}")],
            };
            let value =
                Value::try_from(value).map_err(|e| ConfigError::Invalid(format!("{name}: {e}")))?;
            for path in paths {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                let slot = lookup(&mut table, &path)
                    .ok_or_else(|| ConfigError::Invalid(format!("there is no setting `{name}`")))?;
                *slot = value.clone();
            }
        }
        *self = Self::from_table(table)?;
        Ok(())
    }

    /// The configuration as TOML, as `aside config` prints it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.to_table()).expect("a table serialises")
    }

    /// The database's URL.
    #[must_use]
    pub fn database_url(&self) -> String {
        if self.database.is_empty() {
            format!("sqlite://{}", self.data.join("aside.db").display())
        } else {
            self.database.clone()
        }
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("every setting has a TOML form")
    }

    fn from_table(table: Table) -> Result<Self, ConfigError> {
        let config: Self =
            table.try_into().map_err(|e: toml::de::Error| ConfigError::Invalid(e.to_string()))?;
        limits::check(&config.limits)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let r = &self.rates;
        let buckets = [
            ("register_per_address", r.register_per_address),
            ("login_per_address", r.login_per_address),
            ("login_per_handle", r.login_per_handle),
            ("messages_per_user", r.messages_per_user),
            ("requests_per_user", r.requests_per_user),
            ("searches_per_user", r.searches_per_user),
            ("presence_per_user", r.presence_per_user),
            ("claims_per_user", r.claims_per_user),
            ("claims_per_target", r.claims_per_target),
            ("commits_per_user", r.commits_per_user),
            ("members_per_user", r.members_per_user),
            ("device_logs_per_user", r.device_logs_per_user),
            ("relays_per_user", r.relays_per_user),
        ];
        for (name, rate) in buckets {
            if !(rate.per_second.is_finite() && rate.per_second >= 1e-6) || rate.burst == 0 {
                let rule = "needs per_second of at least 0.000001 and burst of at least 1";
                return Err(ConfigError::Invalid(format!("[rates] {name} {rule}")));
            }
        }
        if self.server.names.is_empty() {
            return Err(ConfigError::Invalid("[server] names must name the server".to_owned()));
        }
        if self.server.certificate.is_empty() != self.server.key.is_empty() {
            let rule = "[server] certificate and key are given together or not at all";
            return Err(ConfigError::Invalid(rule.to_owned()));
        }
        if !retention::is_valid(&self.retention) {
            let rule = "[retention] max_age_s and max_entries are at most 4294967295";
            return Err(ConfigError::Invalid(rule.to_owned()));
        }
        Ok(())
    }
}

fn merge(base: &mut Table, overlay: Table) {
    for (key, value) in overlay {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(overlay)) => merge(base, overlay),
            // An unknown name is kept, for deserialisation to complain of.
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

fn lookup<'a>(table: &'a mut Table, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get_mut(first)?;
    if rest.is_empty() { Some(value) } else { lookup(value.as_table_mut()?, rest) }
}

/// Sets a value from text: TOML where the setting is not a string, the text itself where it is.
fn set(table: &mut Table, path: &[String], text: &str) -> Result<(), ConfigError> {
    let name = path.join(".");
    let slot = lookup(table, path)
        .ok_or_else(|| ConfigError::Invalid(format!("there is no setting `{name}`")))?;
    *slot = match slot {
        Value::String(_) => Value::String(text.to_owned()),
        _ => format!("x = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("x"))
            .ok_or_else(|| ConfigError::Invalid(format!("`{text}` is not a value for `{name}`")))?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layered(
        file: &str,
        variables: &[(&str, &str)],
        settings: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        let settings: Vec<_> = settings.iter().map(own).collect();
        Config::layered(Some(file), variables.iter().map(own), &settings)
    }

    #[test]
    fn later_layers_win_and_the_printed_form_is_read_back() {
        let config = layered(
            "listen = '127.0.0.1:1'\n[limits]\nmax_in_flight = 7\n[rates.messages_per_user]\nper_second = 3",
            &[("ASIDE_LISTEN", "127.0.0.1:2"), ("ASIDE_PASSWORD", "hunter2"), ("HOME", "/")],
            &[("server.names", "['chat.example']"), ("registration", "closed")],
        )
        .unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!((config.limits.max_in_flight, config.limits.max_name_chars), (7, 32));
        assert_eq!(config.rates.messages_per_user, Rate { per_second: 3.0, burst: 100 });
        assert_eq!(config.server.names, ["chat.example"]);
        assert_eq!(config.registration, Registration::Closed);
        let again = Config::layered(Some(&config.to_toml()), [], &[]).unwrap();
        assert_eq!(again.to_toml(), config.to_toml());
    }

    #[test]
    fn mistakes_are_named() {
        for (file, settings, named) in [
            ("lisen = '127.0.0.1:1'", &[][..], "lisen"),
            ("", &[("limits.nope", "1")], "limits.nope"),
            ("", &[("limits.max_payload_bytes", "99999999")], "max_payload_bytes"),
            ("", &[("rates.messages_per_user", "{per_second=0,burst=1}")], "messages_per_user"),
            ("", &[("server.key", "k.pem")], "certificate"),
            ("[limits]\nmax_in_fligth = 3", &[], "max_in_fligth"),
            ("[retention]\nmax_age_s = 4294967296", &[], "max_age_s"),
            ("[retention]\nmax_age = 3", &[], "max_age"),
        ] {
            let error = layered(file, &[], settings).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_no_setting_left_out_silently() {
        for (name, named) in
            [("ASIDE_REGISTRATOIN", "registratoin"), ("ASIDE_LIMITS__NOPE", "limits.nope")]
        {
            let error = layered("", &[(name, "closed")], &[]).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn scripts_set_what_they_need_by_short_names() {
        let mut config = Config::for_tests("x");
        let settings = serde_json::json!({
            "registration": "closed", "max_in_flight": 3, "login_rate": {"per_second": 0.5, "burst": 2},
            "password": {"memory_kib": 128, "iterations": 3, "workers": 1, "queue": 2}
        });
        config.apply_settings(settings.as_object().unwrap()).unwrap();
        assert_eq!(config.limits.max_in_flight, 3);
        assert_eq!(config.rates.login_per_handle, Rate { per_second: 0.5, burst: 2 });
        assert_eq!((config.password.memory_kib, config.password.iterations), (128, 3));
        let unknown = serde_json::json!({"colour": 1});
        assert!(config.apply_settings(unknown.as_object().unwrap()).is_err());
    }
}
