"""The real servers that dev/services started: what they take of the processors, and databases and topics on them."""
import os
import subprocess
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def listening(port):
    """The process that listens on a port of this machine."""
    inode = None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == "0A":
            inode = fields[9]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) == f"socket:[{inode}]" for fd in (process / "fd").iterdir()):
                parent = int(stat(int(process.name))[1])
                # A server that forks hands its socket down: the eldest one that listens is the server.
                if not holds(parent, inode):
                    return int(process.name)
        except OSError:
            continue
    raise SystemExit(f"servers: nobody listens on port {port}")


def holds(pid, inode):
    try:
        return any(os.readlink(fd) == f"socket:[{inode}]" for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu_seconds(pid):
    """Of a process, its children that ended, and those that live."""
    total = sum(map(int, stat(pid)[11:15]))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = stat(int(process.name))
            if int(fields[1]) == pid:
                total += sum(map(int, fields[11:15]))
        except OSError:
            continue
    return total / TICKS


class Servers:
    """Kafka and PostgreSQL, by the addresses in the environment."""

    def __init__(self):
        self.brokers, self.database = os.environ["TEST_KAFKA_BROKERS"], os.environ["TEST_DATABASE_URL"]
        self.pids = {
            "kafka": listening(int(self.brokers.rsplit(":", 1)[1])),
            "postgres": listening(int(self.database.rsplit(":", 1)[1].split("/")[0])),
        }

    def cpu(self):
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def sql(self, statement, database=None):
        url = self.database if database is None else self.database.rsplit("/", 1)[0] + "/" + database
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def fresh_database(self, name):
        """An empty database, and its URL."""
        self.sql(f"DROP DATABASE IF EXISTS {name}")
        self.sql(f"CREATE DATABASE {name}")
        return self.database.rsplit("/", 1)[0] + "/" + name
