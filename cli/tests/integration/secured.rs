//! A real Kafka with SASL inside TLS, reached by configuration alone.

use std::{
    path::Path,
    process::{Command, Output},
};

use uuid::Uuid;

use crate::process::kilowatch;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by dev/services"))
}

/// The grid's profile with a topic of its own: tests share the brokers.
fn profile() -> String {
    let topic = format!("topic = \"secured.{}\"", Uuid::new_v4().simple());
    let profile = include_str!("../../../shared/profiles/grid.toml").replace("topic = \"sensor-readings\"", &topic);
    assert!(profile.contains(&topic), "the grid's topic has another name now");
    format!("anomalies_topic = \"secured-anomalies.{}\"\n{profile}", Uuid::new_v4().simple())
}

fn secured(folder: &Path, password: &str, args: &[&str]) -> Output {
    let mut command: Command = kilowatch(&folder.join("data"), args);
    command
        .env("KILOWATCH_LOG__URL", format!("kafka://{}", variable("TEST_KAFKA_SASL_BROKERS")))
        .env("KILOWATCH_LOG__SECURITY__SASL_MECHANISM", "SCRAM-SHA-512")
        .env("KILOWATCH_LOG__SECURITY__USERNAME", variable("TEST_KAFKA_USER"))
        .env("KILOWATCH_LOG__SECURITY__PASSWORD", password)
        // Everything that is logged, librdkafka's own words included.
        .env("KILOWATCH_LOG_FILTER", "debug");
    command.output().unwrap()
}

#[test]
fn a_stream_runs_over_sasl_and_tls_and_no_word_of_the_password_gets_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grid.toml"), profile()).unwrap();
    let ca_file = Path::new(&variable("TEST_KAFKA_CERTIFICATES")).join("ca.pem");
    let config = format!(
        "stream_files = [\"grid.toml\"]\n[log]\ngroup_id = \"secured-{}\"\n\
         [log.security]\nprotocol = \"sasl_ssl\"\nca_file = {ca_file:?}\n",
        Uuid::new_v4().simple()
    );
    std::fs::write(folder.path().join("kilowatch.toml"), config).unwrap();
    let password = variable("TEST_KAFKA_PASSWORD");
    for args in [
        &["simulate", "--to", "log", "--stream", "grid", "--count", "3000"][..],
        &["--json", "speed", "run", "--stream", "grid", "--until-caught-up"],
        &["config", "show"],
    ] {
        let output = secured(folder.path(), &password, args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {out}\n{err}");
        assert!(!out.contains(&password) && !err.contains(&password), "{args:?}: {out}\n{err}");
        if args.contains(&"run") {
            let report: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(report["messages"], 3000);
        }
    }

    let wrong = "not-the-p4ssword";
    let output = secured(folder.path(), wrong, &["speed", "run", "--stream", "grid"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("log.security.password") && !said.contains(wrong), "{said}");
}
