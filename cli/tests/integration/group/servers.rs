//! Where the servers of a cluster are, and servers of a test's own, which it may stop.

use std::{
    collections::BTreeMap,
    fs::{File, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::process::wait_until;

/// The addresses that a cluster is set up with.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `host:port` of Kafka.
    pub brokers: String,
    /// A database in which schemas may be made.
    pub database: String,
    /// A prefix in a bucket.
    pub lake: String,
    /// `AWS_...`.
    pub s3: BTreeMap<String, String>,
}

impl Addresses {
    /// The servers that tests share.
    pub fn shared() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by dev/services"));
        Self {
            brokers: variable("TEST_KAFKA_BROKERS"),
            database: variable("TEST_DATABASE_URL"),
            lake: variable("TEST_S3_URL"),
            s3: std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect(),
        }
    }

    /// The same, but for this server.
    pub fn with(mut self, server: &Server) -> Self {
        let place = server.place();
        match server.kind {
            Kind::Kafka => self.brokers = place,
            Kind::Postgres => self.database = database_at(&place),
            Kind::Minio => drop(self.s3.insert("AWS_ENDPOINT_URL".to_owned(), format!("http://{place}"))),
        }
        self
    }
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Kafka,
    Postgres,
    Minio,
}

/// A server that nobody else uses, on a port of its own, with the layout of `dev/services`; ended when dropped.
pub struct Server {
    kind: Kind,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    /// Starts one with nothing in it.
    pub async fn start(kind: Kind) -> Self {
        // PostgreSQL runs as a user of its own and has to come through to its data.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o711)).tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { kind, folder, port, process: None };
        server.come_back().await;
        server
    }

    /// It dies without a word to its clients or to its disk.
    pub fn go_down(&mut self) {
        let mut process = self.process.take().expect("the server is up");
        if self.kind == Kind::Postgres {
            // What a postmaster leaves behind when it is killed alone would keep the next one from starting.
            let quit = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status().unwrap();
            assert!(quit.success());
        } else {
            process.kill().unwrap();
        }
        tokio::task::block_in_place(|| process.wait()).unwrap();
    }

    /// It stands still, with its connections open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// To the server and to the processes that it started. The server comes first, so that it starts no more of them.
    fn signal(&self, signal: &str) {
        let server = self.process.as_ref().expect("the server is up").id().to_string();
        assert!(Command::new("kill").args([signal, &server]).status().unwrap().success());
        let children = Command::new("pgrep").args(["-P", &server]).output().unwrap();
        for child in String::from_utf8(children.stdout).unwrap().split_whitespace() {
            // One that has just ended needs no signal.
            let _ended = Command::new("kill").args([signal, child]).stderr(Stdio::null()).status();
        }
    }

    /// The same server again, with what it had on disk.
    pub async fn come_back(&mut self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dev/services");
        let name = match self.kind {
            Kind::Kafka => "kafka",
            Kind::Postgres => "postgres",
            Kind::Minio => "minio",
        };
        let log = self.folder.path().join("server.log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(script);
        command.args(["server", name]).arg(self.folder.path().join("data")).arg(self.port.to_string());
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.process = Some(command.spawn().unwrap());
        wait_until(&format!("{name} answers, see {}", log.display()), async || self.answers().await).await;
    }

    async fn answers(&self) -> bool {
        let place = self.place();
        match self.kind {
            Kind::Kafka => tokio::net::TcpStream::connect(place).await.is_ok(),
            Kind::Postgres => PgConnection::connect(&database_at(&place)).await.is_ok(),
            Kind::Minio => {
                let ready = reqwest::get(format!("http://{place}/minio/health/ready")).await;
                ready.is_ok_and(|answer| answer.status().is_success())
            }
        }
    }

    fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            // A process that stands still does not even die.
            self.resume();
            self.go_down();
        }
    }
}

fn database_at(place: &str) -> String {
    format!("postgres://kilowatch@{place}/postgres")
}
