//! A child sends a list through its end of a pipe.

use millpond::Connection;

type List = (i32, Option<String>, String);

fn send_list(parent: Connection<List, ()>) {
    parent.send((42, None, "hello".to_owned())).unwrap();
}

fn main() -> Result<(), millpond::Error> {
    millpond::init();
    let (ours, theirs) = millpond::pipe()?;
    let child = millpond::spawn(send_list, theirs)?;
    println!("{:?}", ours.recv()?.expect("the child sends one"));
    Ok(child.join()?)
}
