//! The thread that takes pictures out of PipeWire.
//!
//! It waits in PipeWire's loop: for pictures, for the bell, and until a picture is to be given. A stream that ends, for whatever
//! reason, is not begun again: the desktop's word for it is over, and a new one is the user's to give.

use super::super::Note;
use super::bell;
use super::painter::Painter;
use super::params::{self, Format, Param};
use super::{Error, Session};
use eyeline_proto::rate::Rate;
use pipewire::context::ContextBox;
use pipewire::core::CoreBox;
use pipewire::loop_::Timeout;
use pipewire::main_loop::MainLoopBox;
use pipewire::properties::properties;
use pipewire::spa::param::ParamType;
use pipewire::spa::pod::Pod;
use pipewire::spa::support::system::IoFlags;
use pipewire::spa::utils::Direction;
use pipewire::stream::{Stream, StreamBox, StreamFlags, StreamListener, StreamState};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is connected.
pub struct Opened {
    pub session: Arc<Session>,
    /// The connection to PipeWire.
    pub remote: OwnedFd,
    /// Read from when the bell was rung.
    pub heard: UnixStream,
}

/// What PipeWire said while its loop ran.
#[derive(Default)]
struct Said {
    format: Cell<Option<Format>>,
    failed: RefCell<Option<Error>>,
}

impl Said {
    /// The first word is the cause of what follows.
    fn fail(&self, error: Error) {
        self.failed.borrow_mut().get_or_insert(error);
    }
}

/// Gives pictures until nobody takes them any more.
pub fn run(opened: Opened, rate: Rate, mut painter: Painter, tell: &dyn Fn(Note)) -> Result<(), Error> {
    let Opened { session, remote, heard } = opened;
    pipewire::init();
    let lost = |error: pipewire::Error| Error::NoPipewire(error.to_string());
    let main_loop = MainLoopBox::new(None).map_err(lost)?;
    let context = ContextBox::new(main_loop.loop_(), None).map_err(lost)?;
    let core = context.connect_fd(remote, None).map_err(lost)?;
    let said = Rc::new(Said::default());
    let _of_core = {
        let said = said.clone();
        let failed = move |id: u32, _: i32, _: i32, message: &str| {
            // 0: the connection itself, the cause of whatever else is said.
            if id == 0 {
                said.failed.replace(Some(Error::Lost(message.to_string())));
            }
        };
        core.add_listener_local().error(failed).register()
    };
    let (stream, _of_stream) = connect(&core, session.node, rate, &said)?;
    let _bell = main_loop.loop_().add_io(heard, IoFlags::IN, bell::heard);
    while !painter.is_closed() {
        // Loops count in milliseconds; one too many is made up for by the grid pictures keep.
        let rest = painter.rest(Instant::now()).as_micros().div_ceil(1000).min(1000);
        main_loop.loop_().iterate(Timeout::Finite(Duration::from_millis(rest as u64)));
        if session.is_closed() {
            return Err(Error::Ended);
        }
        if let Some(error) = said.failed.take() {
            return Err(error);
        }
        if let Some(format) = said.format.take() {
            painter.agree(format);
        }
        painter.take(&stream, tell)?;
        painter.give(Instant::now());
    }
    Ok(())
}

type Connected<'c> = (StreamBox<'c>, StreamListener<Rc<Said>>);

fn connect<'c>(core: &'c CoreBox<'_>, node: u32, rate: Rate, said: &Rc<Said>) -> Result<Connected<'c>, Error> {
    let lost = |error: pipewire::Error| Error::NoPipewire(error.to_string());
    let properties = properties! {
        *pipewire::keys::MEDIA_TYPE => "Video",
        *pipewire::keys::MEDIA_CATEGORY => "Capture",
        *pipewire::keys::MEDIA_ROLE => "Screen",
    };
    let stream = StreamBox::new(core, "eyeline", properties).map_err(lost)?;
    let listener = stream
        .add_local_listener_with_user_data(said.clone())
        .state_changed(|_, said, before, state| match state {
            StreamState::Error(error) => said.fail(Error::NotGiven(error)),
            StreamState::Unconnected if before != StreamState::Unconnected => said.fail(Error::Ended),
            state => tracing::debug!("the desktop's screen: {state:?}"),
        })
        .param_changed(|stream, said, id, param| {
            if id == ParamType::Format.as_raw()
                && let Some(param) = param
            {
                agree(stream, said, param);
            }
        })
        // What wakes the loop; pictures are taken after it.
        .process(|_, _| ())
        .register()
        .map_err(lost)?;
    let offer = params::offer(rate);
    let mut params: Vec<&Pod> = offer.iter().filter_map(Param::pod).collect();
    let flags = StreamFlags::AUTOCONNECT | StreamFlags::DONT_RECONNECT;
    stream.connect(Direction::Input, Some(node), flags, &mut params).map_err(lost)?;
    Ok((stream, listener))
}

/// PipeWire says how pictures will come.
fn agree(stream: &Stream, said: &Said, param: &Pod) {
    let Some(format) = params::agreed(param) else {
        return said.fail(Error::Unreadable("their format is none of those that were asked for".into()));
    };
    tracing::debug!("the desktop's screen comes as {format:?}");
    said.format.set(Some(format));
    let wishes = params::wishes();
    let mut wishes: Vec<&Pod> = wishes.iter().filter_map(Param::pod).collect();
    if let Err(error) = stream.update_params(&mut wishes) {
        said.fail(Error::Unreadable(error.to_string()));
    }
}
