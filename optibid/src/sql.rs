//! `optibid sql`: a prompt or one command, against a running server or a history folder.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use sql::shell::{self, Answer, Options, OutputFormat, Remote};

use crate::config::Config;

/// What to ask whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run this and end: statements separated by `;`.
    #[arg(short, long)]
    command: Option<String>,
    /// The running server.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: String,
    /// Read this folder instead of asking a server: the `history` folder inside a data folder.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Access token or API key, where the server has accounts.
    #[arg(long, env = "OPTIBID_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// table, csv or json.
    #[arg(long, default_value = "table")]
    format: OutputFormat,
}

/// Runs the shell.
pub(crate) async fn sql(config: &Config, args: Args) -> Result<()> {
    let remote: Box<dyn Remote> = match &args.data {
        Some(folder) => Box::new(shell::open_folder(config.sql.clone(), config.zone_table()?, folder)?),
        None => {
            let url = format!("{}/api/sql", args.url.trim_end_matches('/'));
            Box::new(Server { url, token: args.token, client: Default::default() })
        }
    };
    let mut out = std::io::stdout();
    let result = match args.command {
        Some(text) => {
            let options = Options { format: args.format, timing: false, ..Options::default() };
            shell::run_command(remote.as_ref(), &options, &text, &mut out).await
        }
        None => {
            let history_file = std::io::stdin().is_terminal().then(history_file).flatten();
            let options = Options { format: args.format, history_file, ..Options::default() };
            shell::interact(remote.as_ref(), options, &mut out).await
        }
    };
    result.map_err(|error| anyhow!(error))
}

/// Where the prompt remembers what was asked.
fn history_file() -> Option<PathBuf> {
    let home = PathBuf::from(std::env::var_os("HOME")?);
    let dir =
        std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("optibid");
    std::fs::create_dir_all(&dir).ok()?;
    Some(dir.join("sql_history"))
}

/// A running server, asked over HTTP.
struct Server {
    url: String,
    token: Option<String>,
    client: reqwest::Client,
}

#[async_trait]
impl Remote for Server {
    async fn run(&self, sql: &str) -> Result<Answer, String> {
        let mut request = self.client.post(&self.url).header("accept", "application/vnd.apache.arrow.stream");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.json(&serde_json::json!({ "query": sql })).send().await;
        let response = response.map_err(|error| format!("ask {}: {error}; is optibid running?", self.url))?;
        let (status, body) = (response.status(), response.bytes().await.map_err(|error| error.to_string())?);
        if status.is_success() {
            return Answer::from_arrow_stream(&body);
        }
        let error: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let message = error.as_ref().and_then(|error| error["error"]["message"].as_str());
        Err(message.map_or_else(|| format!("{}: {status}", self.url), str::to_owned))
    }
}
