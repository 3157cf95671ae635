//! Input that is no history: each is told what is wrong with it, and nothing of it is published.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    process::{kilowatch_of, own_binary},
    small_disk::SmallDisk,
};

const HEADER: &str =
    "timestamp;active_power;reactive_power;voltage;current;sub_metering_1;sub_metering_2;sub_metering_3\n";

/// Whom a process is that is not root, where the tests are: permissions bind it.
const NOBODY: u32 = 65_534;

fn rows(count: u32) -> String {
    (0..count).map(|minute| format!("2026-01-05T00:{minute:02}:00Z;1.5;0.1;230;6.5;0;0;1\n")).collect()
}

/// A folder in which files are ingested.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Also for a process that is nobody.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.folder.path().join(name), bytes).unwrap();
        self
    }

    fn ingest(&self, args: &[&str]) -> Command {
        self.ingest_with(own_binary(), args)
    }

    fn ingest_with(&self, binary: &Path, args: &[&str]) -> Command {
        kilowatch_of(binary, &self.data(), &[&["--json", "batch", "ingest"], args].concat())
    }

    /// The reason for which it is refused, with nothing left behind: no version, no data file, no spool.
    fn refused(&self, mut command: Command) -> String {
        let error = refusal(&command.output().unwrap());
        let left: Vec<PathBuf> = files_below(&self.data()).into_iter().filter(|path| is_published(path)).collect();
        assert!(left.is_empty(), "{error}: {left:?}");
        error
    }

    /// New rows and bad lines of the only file.
    fn taken(&self, mut command: Command) -> (u64, u64) {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["rows"].as_u64().unwrap(), report["bad_lines"].as_u64().unwrap())
    }
}

fn refusal(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    error
}

/// Whether it is of a table, or waits in the spool.
fn is_published(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("_delta_log") || text.ends_with(".parquet") || text.contains("/spool/")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_no_table_of_readings_is_refused_with_what_to_do_and_nothing_is_published() {
    let whole = format!("{HEADER}{}", rows(10));
    let utf16: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("empty.csv", vec![], "the file is empty"),
        ("blank.csv", b"\n\n\n".to_vec(), "line 1 is blank, where a header is expected"),
        ("header.csv", HEADER.into(), "a header and no rows"),
        ("tilde.csv", whole.replace(';', "~").into(), "say what separates the fields with --separator"),
        ("old-mac.csv", whole.replace('\n', "\r").into(), "lines that end in a carriage return alone"),
        ("twice.csv", whole.replace("voltage", "active_power").into(), "two columns are called `active_power`"),
        ("missing.csv", b"timestamp;active_power\n2026-01-05T00:00:00Z;1\n".to_vec(), "no column `reactive_power`"),
        (
            "missing-2.csv",
            b"timestamp;active_power\n2026-01-05T00:00:00Z;1\n".to_vec(),
            "those that it does not name stay missing",
        ),
        ("no-time.csv", whole.replace("timestamp", "when").into(), "no column `timestamp`; found `when`"),
        ("utf16.csv", [[0xff, 0xfe].as_slice(), utf16.as_slice()].concat(), "text in UTF-16; save it as UTF-8"),
        ("utf16-unmarked.csv", utf16, "binary data, or text in UTF-16"),
        ("binary.csv", (0..=255).cycle().take(9_999).collect(), "binary data, or text in UTF-16"),
        ("comma.csv", whole.replace("1.5", "1,5").into(), "active_power: `1,5` is not a number"),
        ("long-header.csv", vec![b'x'; 10 << 20], "line 1 is longer than"),
        ("cut.csv.gz", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b], "the file is cut off"),
        ("cut.parquet", b"PAR1 and no more".to_vec(), "cut.parquet: Parquet: "),
        ("cut.zip", b"PK\x03\x04 and no more".to_vec(), "damaged ZIP archive"),
    ];
    for (name, bytes, reason) in cases {
        let case = Case::new();
        let error = case.write(name, bytes).refused(case.ingest(&[name]));
        assert!(error.contains(name) && error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn what_is_a_table_all_the_same_is_taken_and_its_bad_lines_are_dead_letters() {
    let whole = format!("{HEADER}{}", rows(10));
    let reordered = "voltage;timestamp;active_power;reactive_power;current;sub_metering_1;sub_metering_2;sub_metering_3\n\
                     230;2026-01-05T00:00:00Z;1.5;0.1;6.5;0;0;1\n";
    let mixed = [whole.as_bytes(), b"2026-01-05T01:00:00Z;1.5;0.1;230;6.5;0;0;\xe9\n"].concat();
    let cases: [(&str, Vec<u8>, (u64, u64)); 10] = [
        ("comma.csv", whole.replace(';', ",").into(), (10, 0)),
        ("tab.csv", whole.replace(';', "\t").into(), (10, 0)),
        ("bar.csv", whole.replace(';', "|").into(), (10, 0)),
        ("bom.csv", [b"\xef\xbb\xbf".as_slice(), whole.as_bytes()].concat(), (10, 0)),
        ("crlf.csv", whole.replace('\n', "\r\n").into(), (10, 0)),
        ("order.csv", reordered.into(), (1, 0)),
        ("header-again.csv", format!("{whole}{HEADER}").into(), (10, 1)),
        ("short-line.csv", format!("{whole}2026-01-05T01:00:00Z;1.5\n").into(), (10, 1)),
        ("long-line.csv", [whole.as_bytes(), vec![b'x'; 10 << 20].as_slice(), b"\n"].concat(), (10, 1)),
        ("mixed.csv", mixed, (10, 1)),
    ];
    for (name, bytes, expected) in cases {
        let case = Case::new();
        assert_eq!(case.write(name, bytes).taken(case.ingest(&[name])), expected, "{name}");
    }
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_goes_in() {
    let case = Case::new();
    let whole = format!("{HEADER}{}", rows(10));
    let folder = case.folder.path().join("in");
    fs::create_dir_all(folder.join("closed")).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    case.write("in/secret.csv", &whole).write("in/closed/x.csv", &whole).write("in/z.csv", &whole);
    let close = |path: &str| fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o000)).unwrap();
    close("secret.csv");
    close("closed");
    // The target folder may be below one that is closed to others.
    let reachable = case.folder.path().join("kilowatch");
    fs::hard_link(own_binary(), &reachable).or_else(|_| fs::copy(own_binary(), &reachable).map(drop)).unwrap();
    let as_nobody = |args: &[&str]| {
        // Root may read everything.
        if fs::read(folder.join("secret.csv")).is_err() {
            return case.ingest(args);
        }
        let mut command = case.ingest_with(&reachable, args);
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    let error = case.refused(as_nobody(&["in/empty"]));
    assert!(error.contains("in/empty: the folder holds no file"), "{error}");
    let error = case.refused(as_nobody(&["in/secret.csv"]));
    assert!(error.contains("in/secret.csv: permission denied; this user needs to read it"), "{error}");
    let output = as_nobody(&["in"]).output().unwrap();
    let error = refusal(&output);
    assert!(error.contains("in/closed: permission denied") && error.contains("2 of 3 files"), "{error}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["rows"], 10);
    fs::set_permissions(folder.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_full_disk_publishes_nothing_and_the_file_goes_in_once_there_is_room() {
    let case = Case::new();
    fs::create_dir(case.data()).unwrap();
    let Some(disk) = SmallDisk::mount(&case.data(), 16, "a_full_disk_publishes_nothing_...") else { return };
    let whole = format!("{HEADER}{}", rows(60));
    // The views are elsewhere, so that it is lake and spool that find no room.
    let ingest = |name: &str| {
        let mut command = case.ingest(&[name]);
        command.env("KILOWATCH_VIEWS__URL", case.folder.path().join("views.sqlite"));
        command
    };
    let before = format!("{HEADER}2026-01-04T00:00:00Z;1;1;1;1;1;1;1\n");
    case.write("before.csv", before).write("a.csv", &whole).taken(ingest("before.csv"));
    let published = || files_below(&case.data()).into_iter().filter(|path| is_published(path)).count();
    let before = published();
    let ballast = disk.fill();
    let error = refusal(&ingest("a.csv").output().unwrap());
    assert!(error.contains("No space left on device"), "{error}");
    let error =
        refusal(&ingest("-").stdin(fs::File::open(case.folder.path().join("a.csv")).unwrap()).output().unwrap());
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(published(), before);
    fs::remove_file(ballast).unwrap();
    assert_eq!(case.taken(ingest("a.csv")), (60, 0));
}

/// A store that gives this answer to everything.
fn store(status: &'static str, code: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What is asked does not matter, but who has not sent all of it takes an early answer for a broken connection.
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut request = [0; 64 << 10];
            while stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {}
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    port
}

#[test]
fn a_store_that_refuses_is_told_with_where_to_look_for_files_and_for_the_lake() {
    let cases = [
        ("404 Not Found", "NoSuchBucket", "is the address right?", "make the bucket, or mend lake.url"),
        ("403 Forbidden", "SignatureDoesNotMatch", "come from AWS_...", "come from AWS_..."),
        ("403 Forbidden", "RequestTimeTooSkewed", "set the clock of this machine", "set the clock of this machine"),
    ];
    for (status, code, of_file, of_lake) in cases {
        let case = Case::new();
        case.write("a.csv", format!("{HEADER}{}", rows(1)));
        let with_store = |mut command: Command| {
            command
                .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", store(status, code)))
                .env("AWS_ACCESS_KEY_ID", "key")
                .env("AWS_SECRET_ACCESS_KEY", "s3cr3t")
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ALLOW_HTTP", "true");
            command
        };
        let error = case.refused(with_store(case.ingest(&["s3://bucket/a.csv"])));
        assert!(error.contains(code) && error.contains(of_file) && !error.contains("s3cr3t"), "{error}");
        let mut into_lake = case.ingest(&["a.csv"]);
        into_lake.env("KILOWATCH_LAKE__URL", "s3://bucket/lake");
        let error = case.refused(with_store(into_lake));
        assert!(error.contains(code) && error.contains(of_lake) && !error.contains("s3cr3t"), "{error}");
    }
}
