//! How the others are set up: one worker, kept connections to the server, no access log.

use std::net::SocketAddr;
use std::path::Path;

use super::tls::Certificate;

/// The server behind all of them: a large file, and 1 KiB everywhere else.
pub(super) fn server(folder: &Path, listen: SocketAddr) -> String {
    let body = "x".repeat(1024);
    let server = format!(
        "server {{ listen {listen}; location / {{ return 200 \"{body}\"; }} location = /large {{ root {}; }} }}",
        folder.display()
    );
    nginx_with(folder, &format!("sendfile on; {server}"))
}

pub(super) fn nginx(
    folder: &Path,
    [http, h2c, tls]: [SocketAddr; 3],
    upstream: SocketAddr,
    certificate: &Certificate,
) -> String {
    let (chain, key) = (certificate.chain(), certificate.key());
    let secure = format!(
        "server {{ listen {tls} ssl http2; ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3; ",
        chain.display(),
        key.display()
    );
    let location = "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }";
    nginx_with(
        folder,
        &format!(
            "http2_max_requests 100000000; proxy_max_temp_file_size 0;\n\
             upstream app {{ server {upstream}; keepalive 128; keepalive_requests 100000000; }}\n\
             server {{ listen {http}; {location} }}\nserver {{ listen {h2c} http2; {location} }}\n{secure}{location} }}"
        ),
    )
}

fn nginx_with(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;\n\
         proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
         {http}\n}}\n"
    )
}

pub(super) fn haproxy(
    [http, h2c, tls]: [SocketAddr; 3],
    upstream: SocketAddr,
    certificate: &Certificate,
) -> String {
    let both = certificate.both();
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 5s\n  http-reuse always\n\
         frontend web\n  bind {http}\n  bind {h2c} proto h2\n  bind {tls} ssl crt {} alpn h2,http/1.1\n  option forwardfor\n  default_backend app\n\
         backend app\n  server app {upstream}\n",
        both.display()
    )
}

pub(super) fn caddy(
    [http, h2c, tls]: [SocketAddr; 3],
    upstream: SocketAddr,
    certificate: &Certificate,
) -> String {
    let (chain, key) = (certificate.chain(), certificate.key());
    format!(
        "{{\n  admin off\n  auto_https off\n  servers {{\n    protocols h1 h2 h2c\n  }}\n}}\n\
         http://:{}, http://:{} {{\n  bind 127.0.0.1\n  reverse_proxy {upstream}\n}}\n\
         https://:{} {{\n  bind 127.0.0.1\n  tls {} {}\n  reverse_proxy {upstream}\n}}\n",
        http.port(),
        h2c.port(),
        tls.port(),
        chain.display(),
        key.display()
    )
}
