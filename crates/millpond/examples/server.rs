//! A web service on tokio that calls a pool: with results, a panic, a crash and a time limit. It
//! asks itself, prints the answers, and ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millpond::{ErrorKind, Failure, Pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than any answer takes, but for those that are never given.
const LIMIT: Duration = Duration::from_secs(2);

fn work(what: String, number: u64) -> Result<u64, Failure> {
    match what.as_str() {
        "square" => Ok(number * number),
        "panic" => panic!("{number} is too much"),
        "crash" => std::process::abort(),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(number));
            Ok(number)
        }
        other => Err(Failure::new(format!("nobody can {other}"))),
    }
}

/// The answer to one request: a status and a text.
async fn answer(pool: &Pool, request: &str) -> (u16, String) {
    let Some((what, number)) = request.trim_matches('/').split_once('/') else {
        return (404, "ask for /square/12".to_owned());
    };
    let Ok(number) = number.parse() else { return (400, "that is no number".to_owned()) };
    let job = pool.spawn(work, (what.to_owned(), number)).cancel_on_drop(true);
    match tokio::time::timeout(LIMIT, job).await {
        Ok(Ok(Ok(result))) => (200, result.to_string()),
        Ok(Ok(Err(failure))) => (400, failure.to_string()),
        Ok(Err(error)) => match error.kind() {
            ErrorKind::Panicked => (500, error.panic_message().unwrap_or_default().to_owned()),
            ErrorKind::Crashed => (502, error.signal_name().unwrap_or_default().to_owned()),
            _ => (503, error.to_string()),
        },
        Err(_) => (504, "it takes too long".to_owned()),
    }
}

async fn serve(pool: Arc<Pool>, mut stream: TcpStream) -> io::Result<()> {
    let mut request = vec![0; 1024];
    let length = stream.read(&mut request).await?;
    let request = String::from_utf8_lossy(&request[..length]);
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let (status, text) = answer(&pool, path).await;
    let length = text.len();
    let response = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n{text}");
    stream.write_all(response.as_bytes()).await
}

async fn get(address: std::net::SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let status = response.split_whitespace().nth(1).unwrap_or_default();
    Ok(format!("{path}: {status} {}", response.lines().last().unwrap_or_default()))
}

#[millpond::main]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Arc::new(Pool::new(2)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(Arc::clone(&pool), stream));
        }
    });
    for path in ["/square/12", "/fly/1", "/panic/3", "/crash/0", "/sleep/3600", "/square/13"] {
        println!("{}", get(address, path).await?);
    }
    let many: Vec<_> =
        (0..100).map(|_| tokio::spawn(async move { get(address, "/square/5").await })).collect();
    let mut right = 0;
    for answer in many {
        right += usize::from(answer.await??.ends_with("200 25"));
    }
    println!("{right} of 100 at once");
    // The last one, which still sleeps, ends with the pool.
    Ok(())
}
