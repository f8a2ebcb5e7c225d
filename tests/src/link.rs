//! A TCP way from a box to its city that can be cut while both go on.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on; those of a cut link end, and new ones with them.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    streams: Vec<TcpStream>,
}

impl Link {
    /// To `target`, from a free port of the same address.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((target.ip(), 0));
        let listener = listener.unwrap_or_else(|error| panic!("no port: {error}"));
        let address = listener.local_addr();
        let address = address.unwrap_or_else(|error| panic!("no address: {error}"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::downgrade(&state);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // Gone with the link, which connects once more.
                let Some(state) = shared.upgrade() else {
                    return;
                };
                if let Err(error) = pass(near, target, &state) {
                    eprintln!("link to {target}: {error}");
                }
            }
        });
        Self { address, state }
    }

    /// Where the box connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends what is connected and lets nothing through.
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cut = true;
        for stream in state.streams.drain(..) {
            // Fails where the other side has ended it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.cut = false;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
        self.state = Arc::default();
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(near: TcpStream, target: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.cut {
        return Ok(());
    }
    let far = TcpStream::connect(target)?;
    state.streams.extend([near.try_clone()?, far.try_clone()?]);
    copy(near.try_clone()?, far.try_clone()?);
    copy(far, near);
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
