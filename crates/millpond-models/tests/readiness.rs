//! Models of how a pipe's socket tells of what is in its ring.

use std::sync::Arc;

use millpond_models::channel::pipe::messages::Messages;
use millpond_models::model::{Model, Process};

/// Nothing is left, and the socket does not say that there is.
fn is_quiet(pipe: &Messages) {
    assert_eq!(pipe.length(), 0);
    assert!(!pipe.is_readable(), "a notification without a message");
}

#[test]
fn a_receiver_gets_all_and_nothing_rings_afterwards() {
    Model::of(2, 4).run(|| {
        let pipe = Arc::new(Messages::default());
        let sender = {
            let pipe = Arc::clone(&pipe);
            Process::run(2, move || (0..2).for_each(|_| pipe.send()))
        };
        pipe.receive();
        pipe.receive();
        is_quiet(&pipe);
        assert_eq!(sender.join(), Some(()));
        is_quiet(&pipe);
    });
}

#[test]
fn a_process_that_selects_is_told_of_what_a_receiver_left() {
    Model::of(2, 4).run(|| {
        let pipe = Arc::new(Messages::default());
        let sender = {
            let pipe = Arc::clone(&pipe);
            Process::run(2, move || (0..3).for_each(|_| pipe.send()))
        };
        pipe.receive();
        for _ in 0..2 {
            pipe.select();
            pipe.receive();
        }
        is_quiet(&pipe);
        assert_eq!(sender.join(), Some(()));
        is_quiet(&pipe);
    });
}

#[test]
fn two_senders_ring_for_each_other() {
    Model::of(2, 3).run(|| {
        let pipe = Arc::new(Messages::default());
        let senders = [2, 3].map(|number| {
            let pipe = Arc::clone(&pipe);
            Process::run(number, move || pipe.send())
        });
        for _ in 0..2 {
            pipe.select();
            pipe.receive();
        }
        senders.into_iter().for_each(|sender| assert_eq!(sender.join(), Some(())));
        is_quiet(&pipe);
    });
}

#[test]
fn two_receivers_get_one_each() {
    Model::of(1, 2).run(|| {
        let pipe = Arc::new(Messages::default());
        let receivers = [2, 3].map(|number| {
            let pipe = Arc::clone(&pipe);
            Process::run(number, move || pipe.receive())
        });
        pipe.send();
        pipe.send();
        receivers.into_iter().for_each(|receiver| assert_eq!(receiver.join(), Some(())));
        is_quiet(&pipe);
    });
}

fn sender_dies_at(point: &'static str) {
    Model::of(2, 3).run(move || {
        let pipe = Arc::new(Messages::default());
        let dead = {
            let pipe = Arc::clone(&pipe);
            Process::dies_at(point, 2, move || pipe.send())
        };
        let other = {
            let pipe = Arc::clone(&pipe);
            Process::run(3, move || pipe.send())
        };
        // The one of the other, at least.
        pipe.select();
        pipe.receive();
        assert_eq!(other.join(), Some(()));
        let _ = dead.join();
        if pipe.length() > 0 {
            pipe.receive();
        }
    });
}

#[test]
fn a_sender_dies_after_its_commit() {
    sender_dies_at("pipe: sent");
}

#[test]
fn a_sender_dies_before_it_rings() {
    sender_dies_at("pipe: about to notify");
}

#[test]
fn a_sender_dies_while_it_rings() {
    sender_dies_at("pipe: notification has a number");
}

/// Its message is gone with it, or another gets it; later ones are told of.
#[test]
fn a_receiver_dies_while_it_attends() {
    Model::of(2, 3).run(|| {
        let pipe = Arc::new(Messages::default());
        let dead = {
            let pipe = Arc::clone(&pipe);
            Process::dies_at("pipe: spinning", 2, move || pipe.receive())
        };
        pipe.send();
        let _ = dead.join();
        pipe.send();
        pipe.select();
        while pipe.length() > 0 {
            pipe.receive();
        }
        is_quiet(&pipe);
    });
}

#[test]
fn a_receiver_dies_before_it_takes_the_notification() {
    Model::of(2, 3).run(|| {
        let pipe = Arc::new(Messages::default());
        pipe.send();
        let dead = {
            let pipe = Arc::clone(&pipe);
            Process::dies_at("pipe: notification is acknowledged", 2, move || pipe.receive())
        };
        pipe.send();
        let _ = dead.join();
        pipe.select();
        while pipe.length() > 0 {
            pipe.receive();
        }
    });
}
