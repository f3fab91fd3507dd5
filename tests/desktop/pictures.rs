//! What a test's desktop shows: pictures that the test describes, given to PipeWire as a compositor gives them.

#![allow(unsafe_code)] // what was drawn is written into memory of which PipeWire's crate only lets read

use super::{Desktop, PATIENCE};
use pipewire::channel::{Sender, channel};
use pipewire::context::ContextBox;
use pipewire::main_loop::MainLoopRc;
use pipewire::properties::properties;
use pipewire::spa::buffer::meta::{MetaHeader, MetaVideoCrop, MetaVideoDamage};
use pipewire::spa::param::ParamType;
use pipewire::spa::param::format::{FormatProperties, MediaSubtype, MediaType};
use pipewire::spa::param::video::VideoFormat;
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{ChoiceValue, Object, Pod, Property, Value};
use pipewire::spa::sys;
use pipewire::spa::utils::{Choice, ChoiceEnum, ChoiceFlags, Direction, Fraction, Id, Rectangle, SpaTypes};
use pipewire::stream::{Stream, StreamBox, StreamFlags, StreamState};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Cursor;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two pictures. What PipeWire was given while it still had the one before goes on its way with the next.
const BEAT: Duration = Duration::from_millis(20);

/// So often a picture is given again: what is given before all who see it are ready is lost. Afterwards there are only pictures
/// without pixels, as of compositors where nothing but the cursor moves.
const AGAIN: u32 = 25;

/// Left, top, width, height.
pub type Area = (u32, u32, u32, u32);

/// A picture, and what is said of it.
#[derive(Debug, Clone)]
pub struct Show {
    pub colour: u32,
    /// What is said to have been drawn; empty: nothing is said.
    pub drawn: Vec<Area>,
    /// What of it is seen.
    pub crop: Option<Area>,
    /// What is said of its rows where that is wrong.
    pub stride: Option<i32>,
    /// It is said to be damaged.
    pub torn: bool,
}

impl Show {
    pub fn all(colour: u32) -> Show {
        Show { colour, drawn: Vec::new(), crop: None, stride: None, torn: false }
    }

    pub fn drawn(self, area: Area) -> Show {
        Show { drawn: vec![area], ..self }
    }
}

enum Do {
    Show(Show),
    Resize(u32, u32),
    End,
}

/// Shown as long as this is there.
pub struct Pictures {
    pub node: u32,
    to: Sender<Do>,
    thread: Option<JoinHandle<()>>,
}

impl Pictures {
    /// Of this size; `red_first`: words of red, green and blue, not of blue, green and red.
    pub fn start(desktop: &Desktop, size: (u32, u32), red_first: bool) -> Pictures {
        let (to, from) = channel();
        let (tell, told) = mpsc::channel();
        let socket = UnixStream::connect(desktop.socket()).unwrap();
        let thread = std::thread::spawn(move || run(socket, size, red_first, from, &tell));
        let node = told.recv_timeout(PATIENCE).expect("PipeWire takes pictures");
        Pictures { node, to, thread: Some(thread) }
    }

    pub fn show(&self, show: Show) {
        assert!(self.to.send(Do::Show(show)).is_ok(), "it runs");
    }

    pub fn resize(&self, width: u32, height: u32) {
        assert!(self.to.send(Do::Resize(width, height)).is_ok(), "it runs");
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        let _ = self.to.send(Do::End);
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

struct State {
    size: Cell<(u32, u32)>,
    red_first: bool,
    /// What is to be shown, the last of it often.
    waits: RefCell<VecDeque<Show>>,
    given: Cell<u32>,
}

fn run(socket: UnixStream, size: (u32, u32), red_first: bool, from: pipewire::channel::Receiver<Do>, tell: &mpsc::Sender<u32>) {
    pipewire::init();
    let main_loop = MainLoopRc::new(None).unwrap();
    let context = ContextBox::new(main_loop.loop_(), None).unwrap();
    let core = context.connect_fd(socket.into(), None).unwrap();
    let class = properties! { *pipewire::keys::MEDIA_CLASS => "Video/Source" };
    let stream = StreamBox::new(&core, "a test's screen", class).unwrap();
    let state = Rc::new(State { size: Cell::new(size), red_first, waits: RefCell::default(), given: Cell::new(0) });
    let tell = tell.clone();
    let _listener = stream
        .add_local_listener_with_user_data(state.clone())
        .state_changed(move |stream, state, _, now| match now {
            StreamState::Paused => _ = tell.send(stream.node_id()),
            // Whoever looks anew has seen nothing.
            StreamState::Streaming => state.given.set(0),
            _ => {}
        })
        .param_changed(|stream, state, id, param| {
            if id == ParamType::Format.as_raw() && param.is_some() {
                let params = buffers(state.size.get());
                let mut params: Vec<_> = params.iter().filter_map(|bytes| Pod::from_bytes(bytes)).collect();
                stream.update_params(&mut params).unwrap();
            }
        })
        .register()
        .unwrap();
    let offer = format(size, red_first);
    let mut params = [Pod::from_bytes(&offer).unwrap()];
    stream.connect(Direction::Output, None, StreamFlags::DRIVER | StreamFlags::MAP_BUFFERS, &mut params).unwrap();
    // What is done is done on this thread, whose loop runs until the test is over.
    let todo: Rc<RefCell<Vec<Do>>> = Rc::default();
    let _from = from.attach(main_loop.loop_(), {
        let todo = todo.clone();
        move |what| todo.borrow_mut().push(what)
    });
    loop {
        main_loop.loop_().iterate(pipewire::loop_::Timeout::Finite(BEAT));
        for what in std::mem::take(&mut *todo.borrow_mut()) {
            match what {
                Do::Show(show) => {
                    state.waits.borrow_mut().push_back(show);
                }
                Do::Resize(width, height) => {
                    state.size.set((width, height));
                    let offer = format((width, height), red_first);
                    stream.update_params(&mut [Pod::from_bytes(&offer).unwrap()]).unwrap();
                }
                Do::End => return,
            }
        }
        if stream.state() == StreamState::Streaming {
            give(&stream, &state);
        }
    }
}

/// Gives the next picture, where there is a buffer for it.
fn give(stream: &Stream, state: &State) {
    let Some(mut buffer) = stream.dequeue_buffer() else { return };
    let (width, height) = state.size.get();
    let (line, height) = (width as usize * 4, height as usize);
    let mut waits = state.waits.borrow_mut();
    let next = waits.front().cloned().filter(|_| waits.len() > 1 || state.given.get() < AGAIN);
    let Some(data) = buffer.datas_mut().first_mut() else { return };
    *data.chunk_mut().size_mut() = 0;
    let room = data.data().map_or(0, |data| data.len());
    // Else it is of the size before.
    let Some(show) = next.filter(|_| room >= line * height) else { return };
    let [_, red, green, blue] = show.colour.to_be_bytes();
    let word = if state.red_first { [red, green, blue, 0xff] } else { [blue, green, red, 0xff] };
    data.data().unwrap()[..line * height].as_chunks_mut::<4>().0.fill(word);
    let chunk = data.chunk_mut();
    (*chunk.offset_mut(), *chunk.size_mut()) = (0, (line * height) as u32);
    *chunk.stride_mut() = show.stride.unwrap_or(line as i32);
    describe(&buffer, &show);
    state.given.set(state.given.get() + 1);
    if waits.len() > 1 {
        waits.pop_front();
        state.given.set(0);
    }
}

/// Says of it what is to be said.
fn describe(buffer: &pipewire::buffer::Buffer<'_>, show: &Show) {
    let region = |(x, y, width, height): Area| sys::spa_meta_region {
        region: sys::spa_region {
            position: sys::spa_point { x: x as i32, y: y as i32 },
            size: sys::spa_rectangle { width, height },
        },
    };
    let header = buffer.find_meta::<MetaHeader>().expect("when it was caught is wanted");
    let crop = buffer.find_meta::<MetaVideoCrop>().expect("what is seen of it is wanted");
    let damage = buffer.find_meta::<MetaVideoDamage>().expect("what was drawn is wanted").as_raw();
    let room = damage.size as usize / size_of::<sys::spa_meta_region>();
    let drawn = show.drawn.iter().copied().map(region).chain([region((0, 0, 0, 0))]).take(room);
    // SAFETY: all three lie in the buffer's memory, which is ours to write until it is given back; of the regions no more are
    // written than there is room for. Nobody else looks at them meanwhile.
    unsafe {
        let header = std::ptr::from_ref(header).cast::<sys::spa_meta_header>().cast_mut();
        (*header).flags = if show.torn { sys::SPA_META_HEADER_FLAG_CORRUPTED } else { 0 };
        (*header).pts = -1;
        let crop = std::ptr::from_ref(crop).cast::<sys::spa_meta_region>().cast_mut();
        crop.write(region(show.crop.unwrap_or((0, 0, 0, 0))));
        let regions = damage.data.cast::<sys::spa_meta_region>();
        drawn.enumerate().for_each(|(at, region)| regions.add(at).write(region));
    }
}

fn bytes(kind: SpaTypes, id: ParamType, properties: Vec<Property>) -> Vec<u8> {
    let object = Value::Object(Object { type_: kind.as_raw(), id: id.as_raw(), properties });
    PodSerializer::serialize(Cursor::new(Vec::new()), &object).unwrap().0.into_inner()
}

/// The one way pictures are given.
fn format((width, height): (u32, u32), red_first: bool) -> Vec<u8> {
    let format = if red_first { VideoFormat::RGBx } else { VideoFormat::BGRx };
    let fraction = |num| Fraction { num, denom: 1 };
    let most = ChoiceEnum::Range { default: fraction(60), min: fraction(1), max: fraction(60) };
    let property = |key: FormatProperties, value| Property::new(key.as_raw(), value);
    bytes(
        SpaTypes::ObjectParamFormat,
        ParamType::EnumFormat,
        vec![
            property(FormatProperties::MediaType, Value::Id(Id(MediaType::Video.as_raw()))),
            property(FormatProperties::MediaSubtype, Value::Id(Id(MediaSubtype::Raw.as_raw()))),
            property(FormatProperties::VideoFormat, Value::Id(Id(format.as_raw()))),
            property(FormatProperties::VideoSize, Value::Rectangle(Rectangle { width, height })),
            property(FormatProperties::VideoFramerate, Value::Fraction(fraction(0))),
            property(
                FormatProperties::VideoMaxFramerate,
                Value::Choice(ChoiceValue::Fraction(Choice(ChoiceFlags::empty(), most))),
            ),
        ],
    )
}

/// Where they lie, and what is said of them.
fn buffers((width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let int = |key, value| Property::new(key, Value::Int(value));
    let memory = ChoiceEnum::Flags { default: 1 << sys::SPA_DATA_MemFd, flags: Vec::new() };
    let memory = Value::Choice(ChoiceValue::Int(Choice(ChoiceFlags::empty(), memory)));
    let line = width as i32 * 4;
    let meta = |kind: u32, size: usize| {
        let kind = Property::new(sys::SPA_PARAM_META_type, Value::Id(Id(kind)));
        let size = Property::new(sys::SPA_PARAM_META_size, Value::Int(size as i32));
        bytes(SpaTypes::ObjectParamMeta, ParamType::Meta, vec![kind, size])
    };
    let region = size_of::<sys::spa_meta_region>();
    vec![
        bytes(
            SpaTypes::ObjectParamBuffers,
            ParamType::Buffers,
            vec![
                int(sys::SPA_PARAM_BUFFERS_buffers, 4),
                int(sys::SPA_PARAM_BUFFERS_blocks, 1),
                int(sys::SPA_PARAM_BUFFERS_size, line * height as i32),
                int(sys::SPA_PARAM_BUFFERS_stride, line),
                Property::new(sys::SPA_PARAM_BUFFERS_dataType, memory),
            ],
        ),
        meta(sys::SPA_META_Header, size_of::<sys::spa_meta_header>()),
        meta(sys::SPA_META_VideoCrop, region),
        meta(sys::SPA_META_VideoDamage, 4 * region),
    ]
}
