//! A running `kilowatch serve`, asked as a client asks it.

use serde_json::Value;

use crate::{group::cluster::Cluster, process::Running};

/// The API of one stream.
pub struct Api {
    server: Running,
    stream: String,
}

impl Api {
    pub fn start(cluster: &Cluster) -> Self {
        let mut command = cluster.command(&["--listen", "127.0.0.1:0", "serve"]);
        let server = tokio::task::block_in_place(|| Running::start(&mut command));
        Self { server, stream: cluster.stream().to_owned() }
    }

    /// The answer to one request.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("{}/api/{path}", self.server.url);
        let request = reqwest::Client::new().get(&url).query(&[("stream", self.stream.as_str())]).query(parameters);
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{url} {parameters:?}: {body}");
        body
    }

    /// All pages of a list.
    pub async fn list(&self, path: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let with_cursor: Vec<(&str, &str)> =
                parameters.iter().copied().chain(cursor.as_deref().map(|cursor| ("cursor", cursor))).collect();
            let mut page = self.get(path, &with_cursor).await;
            found.append(page["data"].as_array_mut().unwrap());
            match page["next_cursor"].take() {
                Value::String(next) => cursor = Some(next),
                _ => return found,
            }
        }
    }
}
