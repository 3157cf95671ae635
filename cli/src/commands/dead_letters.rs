//! `kilowatch dead-letters`: messages that became no reading, and another try for them.

use std::process::ExitCode;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use kilowatch_batch::{
    Summary as _,
    jobs::{
        replay::{ReplayReport, replay},
        rollup::{RollupRequest, rollup},
    },
};
use kilowatch_shared::{
    dead_letter::DeadLetter,
    position::{SourcePosition, StreamName},
    views::{DeadLetterFilter, ListedDeadLetter},
};
use serde::Serialize;

use crate::{context::Context, output, stores::Stores};

/// Letters that are replayed in one commit. Their bytes are in memory, a few hundred each as a rule.
const REPLAY_AT_ONCE: u32 = 200;

/// What a list shows of the bytes.
const LISTED_CHARS: usize = 60;

/// Subcommands of `dead-letters`.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Lists dead letters, newest first.
    List(ListArgs),
    /// Shows one of them: where, when, why, and its bytes.
    Show(ShowArgs),
    /// Decodes dead letters again and brings those that are readings now to the lake and the roll-ups; a second replay
    /// changes nothing.
    Replay(ReplayArgs),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// Of this partition of the log.
    #[arg(long)]
    partition: Option<u32>,
    /// Seen at or after this time.
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Seen before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// With this text in the reason, in either case.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl FilterArgs {
    fn filter(&self) -> DeadLetterFilter {
        DeadLetterFilter {
            partition: self.partition,
            from: self.from,
            until: self.until,
            reason: self.reason.clone(),
            only_open: false,
        }
    }
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those that no replay has taken.
    #[arg(long)]
    open: bool,
    /// How many, 1 to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Goes on after this position, the last one of the page before.
    #[arg(long, value_name = "POSITION")]
    after: Option<SourcePosition>,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The stream.
    #[arg(long, default_value = "household")]
    stream: StreamName,
    /// Where it stands, as `list` says.
    position: SourcePosition,
    /// How many of its bytes, 1 to 1048576.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    bytes: u32,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only these, as `list` says.
    #[arg(value_name = "POSITION", conflicts_with_all = ["partition", "from", "until", "reason"])]
    positions: Vec<SourcePosition>,
}

/// A dead letter for programs.
#[derive(Debug, Serialize)]
struct LetterBody {
    position: String,
    seen_at: DateTime<Utc>,
    reason: String,
    replayed_at: Option<DateTime<Utc>>,
    key_base64: Option<String>,
    raw_bytes: usize,
    raw_base64: String,
}

impl LetterBody {
    fn of(listed: &ListedDeadLetter, most_bytes: usize) -> Self {
        let letter = &listed.letter;
        let shown = letter.raw.get(..most_bytes).unwrap_or(&letter.raw);
        Self {
            position: letter.position.to_string(),
            seen_at: letter.seen_at,
            reason: letter.reason.clone(),
            replayed_at: listed.replayed_at,
            key_base64: letter.key.as_ref().map(|key| BASE64_STANDARD.encode(key)),
            raw_bytes: letter.raw.len(),
            raw_base64: BASE64_STANDARD.encode(shown),
        }
    }
}

/// A page for programs.
#[derive(Debug, Serialize)]
struct PageBody {
    data: Vec<LetterBody>,
    /// To be given as `--after`.
    next_cursor: Option<String>,
}

impl DeadLettersCommand {
    /// Runs it and prints the answer.
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(args) => list(&args, context).await,
            Self::Show(args) => show(&args, context).await,
            Self::Replay(args) => run_replay(&args, context).await,
        }
    }
}

async fn list(args: &ListArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let stream = context.profile(&args.filter.stream)?.name;
    let views = Stores::open(context).await?.views;
    let filter = DeadLetterFilter { only_open: args.open, ..args.filter.filter() };
    let page = views.list_dead_letters(&stream, &filter, args.after.as_ref(), args.limit).await?;
    let full = page.len() == args.limit as usize;
    let next_cursor = page.last().filter(|_| full).map(|listed| listed.letter.position.to_string());
    let data = page.iter().map(|listed| LetterBody::of(listed, LISTED_CHARS)).collect();
    output::answer(context.json, &PageBody { data, next_cursor }, |body| {
        let mut lines: Vec<String> = page.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("no dead letters".to_owned());
        }
        lines.extend(body.next_cursor.as_ref().map(|next| format!("more: --after {next}")));
        lines.join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn line(listed: &ListedDeadLetter) -> String {
    let letter = &listed.letter;
    let mark = if listed.replayed_at.is_some() { "  (replayed)" } else { "" };
    let text: String = printable(&letter.raw).chars().take(LISTED_CHARS).collect();
    format!("{}  {}{mark}\n    {}\n    {text}", rfc3339(letter.seen_at), letter.position, escaped(&letter.reason))
}

async fn show(args: &ShowArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let stream = context.profile(&args.stream)?.name;
    let views = Stores::open(context).await?.views;
    let listed = views.dead_letter(&stream, &args.position).await?.with_context(|| {
        format!("stream `{stream}` has no dead letter at {}; see `kilowatch dead-letters list`", args.position)
    })?;
    let most_bytes = args.bytes as usize;
    output::answer(context.json, &LetterBody::of(&listed, most_bytes), |_| described(&listed, most_bytes))?;
    Ok(ExitCode::SUCCESS)
}

fn described(listed: &ListedDeadLetter, most_bytes: usize) -> String {
    let letter = &listed.letter;
    let shown = letter.raw.get(..most_bytes).unwrap_or(&letter.raw);
    let mut lines = vec![
        format!("position  {}", letter.position),
        format!("seen at   {}", rfc3339(letter.seen_at)),
        format!("reason    {}", escaped(&letter.reason)),
        format!("replayed  {}", listed.replayed_at.map_or_else(|| "no".to_owned(), rfc3339)),
        format!("key       {}", letter.key.as_deref().map_or_else(|| "(none)".to_owned(), printable)),
        format!("bytes     {}", letter.raw.len()),
        String::new(),
        printable(shown),
    ];
    if shown.len() < letter.raw.len() {
        lines.push(format!("... {} more; see --bytes", letter.raw.len() - shown.len()));
    }
    lines.join("\n")
}

async fn run_replay(args: &ReplayArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let profile = context.profile(&args.filter.stream)?;
    let stores = Stores::open(context).await?;
    let deps = stores.batch();
    let mut total = ReplayReport::default();
    let mut after: Option<SourcePosition> = None;
    loop {
        let (letters, more) = if args.positions.is_empty() {
            let filter = args.filter.filter();
            let page = stores.views.list_dead_letters(&profile.name, &filter, after.as_ref(), REPLAY_AT_ONCE).await?;
            let letters: Vec<DeadLetter> = page.into_iter().map(|listed| listed.letter).collect();
            after = letters.last().map(|letter| letter.position.clone());
            let more = letters.len() == REPLAY_AT_ONCE as usize;
            (letters, more)
        } else {
            (named(args, &stores).await?, false)
        };
        if !letters.is_empty() {
            total.add(replay(&deps, &profile, &letters).await.context("replaying dead letters")?);
        }
        if !more {
            break;
        }
    }
    // What an interrupted replay left in the lake is not published yet either; a roll-up that finds nothing new costs little.
    if total.appended + total.already_replayed > 0 {
        rollup(&deps, &profile, &RollupRequest::default()).await.context("publishing what was replayed")?;
    }
    output::answer(context.json, &total, |total| {
        let examples =
            total.still_dead_examples.iter().map(|dead| format!("  {}: {}", dead.position, escaped(&dead.reason)));
        std::iter::once(total.sentence()).chain(examples).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn named(args: &ReplayArgs, stores: &Stores) -> anyhow::Result<Vec<DeadLetter>> {
    let stream = &args.filter.stream;
    let mut letters = Vec::with_capacity(args.positions.len());
    for position in &args.positions {
        let listed = stores.views.dead_letter(stream, position).await?;
        letters.push(listed.with_context(|| format!("stream `{stream}` has no dead letter at {position}"))?.letter);
    }
    Ok(letters)
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Bytes as text that does nothing to a terminal: control characters and what is not UTF-8 are escaped.
fn printable(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(&escaped(chunk.valid()));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
        text
    })
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // The marks that turn the direction of a line around are not control characters to Rust.
        if c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cannot_steer_a_terminal() {
        assert_eq!(printable(b"\x1b[2J{\"a\":1}\n\xff\xfe"), "\\u{1b}[2J{\"a\":1}\\n\\xff\\xfe");
        assert_eq!(printable("µW \u{202e}".as_bytes()), "µW \\u{202e}");
    }
}
