//! A registry of one image, on a port of this machine, where engines speak plain HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nd_supervise::TaskSet;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the registry does with a request for its image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It serves it to whoever asks.
    Open,
    /// It wants `me` with the password `>>>???~~~`.
    Private,
    /// It wants an access token, which it gives for the identity token `refresh-me` (OAuth 2.0, RFC 6749, section 6).
    Tokens,
    /// It takes requests and never answers.
    Silent,
}

/// A registry that ends with this value.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    /// How often a layer was fetched.
    pub(crate) fetched: Arc<AtomicUsize>,
    _tasks: TaskSet,
}

struct Image {
    mood: Mood,
    address: SocketAddr,
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    fetched: Arc<AtomicUsize>,
}

impl Registry {
    /// Serves `shop:1`.
    pub(crate) async fn new(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fetched = Arc::new(AtomicUsize::new(0));
        let image = Arc::new(Image::new(mood, address, Arc::clone(&fetched)));
        let tasks = TaskSet::new("registry");
        let connections = tasks.clone();
        tasks.spawn("listener", async move {
            while let Ok((client, _)) = listener.accept().await {
                let image = Arc::clone(&image);
                connections.spawn("connection", async move {
                    image.serve(client).await.ok();
                });
            }
        });
        Self { address, fetched, _tasks: tasks }
    }

    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("{}/shop:{tag}", self.address)
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Image {
    fn new(mood: Mood, address: SocketAddr, fetched: Arc<AtomicUsize>) -> Self {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        // Of random bytes, so that no engine has seen the layer before.
        let mut content = [0_u8; 64];
        getrandom::fill(&mut content).unwrap();
        header.set_size(content.len().try_into().unwrap());
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, "file", &content[..]).unwrap();
        let layer = archive.into_inner().unwrap();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Cmd": ["/file"], "ExposedPorts": { "8080/tcp": {} } },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": config.len(), "digest": digest(&config),
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                "size": layer.len(), "digest": digest(&layer),
            }],
        });
        Self { mood, address, layer, config, manifest: manifest.to_string().into_bytes(), fetched }
    }

    async fn serve(&self, client: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = client.into_split();
        let mut read = BufReader::new(read);
        loop {
            let (mut request, mut login, mut line) = (String::new(), None, String::new());
            let mut length = 0;
            if read.read_line(&mut request).await? == 0 {
                return Ok(());
            }
            while read.read_line(&mut line).await? > 2 {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("authorization")
                {
                    login = Some(value.trim().to_owned());
                } else if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            if self.mood == Mood::Silent {
                std::future::pending::<()>().await;
            }
            let mut form = vec![0; length];
            read.read_exact(&mut form).await?;
            let answer = self.answer(&request, login.as_deref(), &String::from_utf8_lossy(&form));
            let (status, content_type, body) = answer;
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\ndocker-content-digest: {}\r\n\
                 docker-distribution-api-version: registry/2.0\r\nwww-authenticate: {}\r\n\r\n",
                body.len(),
                digest(body),
                self.challenge()
            );
            write.write_all(head.as_bytes()).await?;
            if !request.starts_with("HEAD") {
                write.write_all(body).await?;
            }
        }
    }

    fn challenge(&self) -> String {
        match self.mood {
            Mood::Tokens => format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address),
            Mood::Open | Mood::Private | Mood::Silent => "Basic realm=\"test\"".to_owned(),
        }
    }

    fn answer(&self, request: &str, login: Option<&str>, form: &str) -> (&'static str, &'static str, &[u8]) {
        const JSON: &str = "application/json";
        let wanted = format!("Basic {}", STANDARD.encode("me:>>>???~~~"));
        if request.starts_with("POST /token") && form.contains("refresh_token=refresh-me") {
            return ("200 OK", JSON, br#"{"access_token":"enter","expires_in":300}"#);
        }
        let welcome = match self.mood {
            Mood::Open | Mood::Silent => true,
            Mood::Private => login == Some(&wanted),
            Mood::Tokens => login == Some("Bearer enter"),
        };
        if !welcome {
            return (
                "401 Unauthorized",
                JSON,
                br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
            );
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let blob = path.strip_prefix("/v2/shop/blobs/");
        if path == "/v2/" {
            ("200 OK", JSON, b"{}")
        } else if path == "/v2/shop/manifests/1"
            || path == format!("/v2/shop/manifests/{}", digest(&self.manifest))
        {
            ("200 OK", "application/vnd.docker.distribution.manifest.v2+json", &self.manifest)
        } else if blob == Some(&digest(&self.config)) {
            ("200 OK", "application/octet-stream", &self.config)
        } else if blob == Some(&digest(&self.layer)) {
            self.fetched.fetch_add(1, Ordering::Relaxed);
            ("200 OK", "application/octet-stream", &self.layer)
        } else {
            (
                "404 Not Found",
                JSON,
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            )
        }
    }
}
