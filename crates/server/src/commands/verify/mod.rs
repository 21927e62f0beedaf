//! `tidings verify`: is this webhook's signature right, and if not, what exactly is wrong?
//!
//! The judging is in [`examine`]; here are the arguments and the answer's form.

mod examine;

use std::{io::IsTerminal as _, process::ExitCode, str::FromStr};

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use tidings_domain::clock::Clock as _;

use super::publish::bytes_of;
use crate::{
    clock::SystemClock,
    config::{SecretText, Span},
    terminal::{Paint, colours_on},
};
use examine::{Claim, Finding, StandardClaim};

pub(super) const EXAMPLES: &str = "\
Examples:
  export TIDINGS_SIGNING_SECRET=whsec_…      # the subscription's secret
  tidings verify --id evt_01h455vb4pex5vsknk084sn02q --timestamp 1700000000 \\
      --signature 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=' @body.json
  tidings verify --hub-signature sha256=b0f9ee… @body.json
  … --tolerance off                          # for a webhook from yesterday

The values are the header fields webhook-id, webhook-timestamp, webhook-signature and
X-Hub-Signature-256 as they came. The body must be the bytes as they came: not parsed and
serialised again, no newline added. Exit code 0: all is right; 1: something is wrong.";

/// What was received.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("signatures")
    .args(["signature", "hub_signature"]).required(true).multiple(true))]
pub(crate) struct VerifyArgs {
    /// The received body: @FILE, - for standard input, or the text itself
    #[arg(value_name = "BODY", default_value = "-")]
    body: String,

    /// The subscription's signing secret: whsec_… or the one that was supplied
    ///
    /// Prefer the environment variable: others on the machine can see flags.
    #[arg(
        long,
        env = "TIDINGS_SIGNING_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    secret: Option<SecretText>,

    /// The value of webhook-id
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// The value of webhook-timestamp
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<String>,

    /// The value of webhook-signature: v1,BASE64, several separated by spaces
    #[arg(long, value_name = "V1,…", requires_all = ["id", "timestamp"])]
    signature: Option<String>,

    /// The value of X-Hub-Signature-256: sha256=HEX
    #[arg(long, value_name = "SHA256=…")]
    hub_signature: Option<String>,

    /// How old, or how far ahead, the timestamp may be; off to accept any
    #[arg(long, value_name = "TIME", default_value = "5m")]
    tolerance: Tolerance,
}

/// How far the timestamp may be from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tolerance(Option<Span>);

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        text.parse()
            .map(|span| Self(Some(span)))
            .map_err(|error: <Span as FromStr>::Err| format!("{error}, or off"))
    }
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let secret = args
        .secret
        .as_ref()
        .and_then(SecretText::expose)
        .context("the signing secret is needed: set TIDINGS_SIGNING_SECRET")?;
    let body = bytes_of(&args.body)?;
    let standard = args.signature.as_deref().map(|signature| StandardClaim {
        // clap lets --signature in only with these two.
        id: args.id.as_deref().unwrap_or_default(),
        timestamp: args.timestamp.as_deref().unwrap_or_default(),
        signature,
    });
    let claim = Claim {
        secret,
        body: &body,
        standard,
        hub: args.hub_signature.as_deref(),
    };
    let tolerance = args.tolerance.0;
    let findings = examine::examine(&claim, SystemClock.now(), tolerance);
    show(&findings);
    if findings.iter().all(Finding::is_right) {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// One line each, and below a wrong one what may help.
fn show(findings: &[Finding]) {
    const SUBJECT_CHARS: usize = 20;
    let out = std::io::stdout();
    let paint = Paint::new(out.is_terminal() && colours_on(&out));
    for finding in findings {
        let subject = finding.subject;
        match &finding.fault {
            None => println!(
                "{} {subject:<SUBJECT_CHARS$} {}",
                paint.green("ok   "),
                finding.says
            ),
            Some(hint) => {
                println!(
                    "{} {subject:<SUBJECT_CHARS$} {}",
                    paint.red("WRONG"),
                    finding.says
                );
                if !hint.is_empty() {
                    println!("{:>26} {hint}", "hint:");
                }
            }
        }
    }
}
