//! A child sends a list through its end of a pipe.

use millpond::{Connection, Process};

type List = (i32, Option<String>, String);

fn send_list(parent: Connection<List, ()>) {
    parent.send((42, None, "hello".to_owned())).unwrap();
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let (ours, theirs) = millpond::pipe()?;
    let child = Process::new(send_list).arg(theirs).start()?;
    println!("{:?}", ours.recv()?);
    child.join()
}
