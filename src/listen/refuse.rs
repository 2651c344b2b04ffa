//! Ending a connection whose handshake was refused, so that the other end hears why.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a refused client may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most octets of it that are read meanwhile.
const MOST_READ: usize = 64 * 1024;

/// Closes a connection after the alert has been sent.
///
/// In TLS 1.3 the client has finished before the server judges its certificate (RFC 8446 section 4.4), and its request is
/// on the way already. Closing with that unread makes the kernel send a reset, and the reset takes the alert with it: the
/// client would see a broken connection instead of `certificate_revoked`. So what comes is read, for a moment.
pub async fn refuse(mut stream: TcpStream) {
    let _ = timeout(PATIENCE, async {
        stream.shutdown().await?;
        let (mut ignored, mut read) = ([0; 4096], 0);
        while read < MOST_READ {
            match stream.read(&mut ignored).await? {
                0 => break,
                count => read += count,
            }
        }
        std::io::Result::Ok(())
    })
    .await;
}
