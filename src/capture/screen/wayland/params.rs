//! What is said to PipeWire: the pictures that are taken, where their pixels shall lie, and what shall be told of each.

use eyeline_proto::picture::{MAX_SIDE, Size};
use eyeline_proto::rate::Rate;
use pipewire::spa::param::ParamType;
use pipewire::spa::param::format::{FormatProperties, MediaSubtype, MediaType};
use pipewire::spa::param::format_utils::parse_format;
use pipewire::spa::param::video::{VideoFormat, VideoInfoRaw};
use pipewire::spa::pod::serialize::PodSerializer;
use pipewire::spa::pod::{ChoiceValue, Object, Pod, Property, Value};
use pipewire::spa::sys;
use pipewire::spa::utils::{Choice, ChoiceEnum, ChoiceFlags, Fraction, Id, Rectangle, SpaTypes};
use std::io::Cursor;

/// Rectangles of what was drawn, of one picture. Where there are more the desktop joins them.
const RECTANGLES: usize = 16;

/// Pictures as they will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub size: Size,
    /// Its words are of red, green and blue: the other way round.
    pub red_first: bool,
}

/// One parameter, in PipeWire's own notation.
pub struct Param(Vec<u8>);

impl Param {
    fn new(kind: SpaTypes, id: ParamType, properties: Vec<Property>) -> Option<Param> {
        let object = Value::Object(Object { type_: kind.as_raw(), id: id.as_raw(), properties });
        let (bytes, _) = PodSerializer::serialize(Cursor::new(Vec::new()), &object).ok()?;
        Some(Param(bytes.into_inner()))
    }

    /// As it is handed over.
    pub fn pod(&self) -> Option<&Pod> {
        Pod::from_bytes(&self.0)
    }
}

fn choice<T: pipewire::spa::pod::CanonicalFixedSizedPod>(of: ChoiceEnum<T>) -> Choice<T> {
    Choice(ChoiceFlags::empty(), of)
}

fn range<T: pipewire::spa::pod::CanonicalFixedSizedPod>(default: T, min: T, max: T) -> Choice<T> {
    choice(ChoiceEnum::Range { default, min, max })
}

/// The pictures that are taken: of any size that can be sent, and not more a second. Where they lie in a graphics card is not
/// asked for: so they come in memory.
pub fn offer(rate: Rate) -> Option<Param> {
    let ids = [VideoFormat::BGRx, VideoFormat::BGRA, VideoFormat::RGBx, VideoFormat::RGBA].map(|format| Id(format.as_raw()));
    let formats = choice(ChoiceEnum::Enum { default: ids[0], alternatives: ids.to_vec() });
    let square = |side| Rectangle { width: side, height: side };
    let sizes = range(Rectangle { width: 1920, height: 1080 }, square(1), square(MAX_SIDE));
    // 0: they come when something is drawn.
    let fraction = |num| Fraction { num, denom: 1 };
    let most = rate.per_second().ceil().clamp(1.0, 1000.0) as u32;
    let property = |key: FormatProperties, value| Property::new(key.as_raw(), value);
    Param::new(
        SpaTypes::ObjectParamFormat,
        ParamType::EnumFormat,
        vec![
            property(FormatProperties::MediaType, Value::Id(Id(MediaType::Video.as_raw()))),
            property(FormatProperties::MediaSubtype, Value::Id(Id(MediaSubtype::Raw.as_raw()))),
            property(FormatProperties::VideoFormat, Value::Choice(ChoiceValue::Id(formats))),
            property(FormatProperties::VideoSize, Value::Choice(ChoiceValue::Rectangle(sizes))),
            property(
                FormatProperties::VideoFramerate,
                Value::Choice(ChoiceValue::Fraction(range(fraction(0), fraction(0), fraction(most)))),
            ),
            property(
                FormatProperties::VideoMaxFramerate,
                Value::Choice(ChoiceValue::Fraction(range(fraction(most), fraction(1), fraction(most)))),
            ),
        ],
    )
}

/// What was agreed upon; `None`: nothing that can be read.
pub fn agreed(param: &Pod) -> Option<Format> {
    let (kind, subtype) = parse_format(param).ok()?;
    if (kind, subtype) != (MediaType::Video, MediaSubtype::Raw) {
        return None;
    }
    let mut info = VideoInfoRaw::default();
    info.parse(param).ok()?;
    let format = info.format();
    let red_first = [VideoFormat::RGBx, VideoFormat::RGBA].contains(&format);
    let known = red_first || [VideoFormat::BGRx, VideoFormat::BGRA].contains(&format);
    let size = Size { width: info.size().width, height: info.size().height };
    (known && size.is_possible()).then_some(Format { size, red_first })
}

/// Where pixels shall lie, and what shall be told of each picture: when it was caught, what of it is seen, what was drawn.
pub fn wishes() -> Vec<Param> {
    let memory = 1 << sys::SPA_DATA_MemFd | 1 << sys::SPA_DATA_MemPtr;
    let memory = choice(ChoiceEnum::Flags { default: memory, flags: Vec::new() });
    let buffers = Property::new(sys::SPA_PARAM_BUFFERS_dataType, Value::Choice(ChoiceValue::Int(memory)));
    let meta = |kind: u32, size: Value| {
        let kind = Property::new(sys::SPA_PARAM_META_type, Value::Id(Id(kind)));
        let size = Property::new(sys::SPA_PARAM_META_size, size);
        Param::new(SpaTypes::ObjectParamMeta, ParamType::Meta, vec![kind, size])
    };
    let region = size_of::<sys::spa_meta_region>() as i32;
    let regions = range(RECTANGLES as i32 * region, region, RECTANGLES as i32 * region);
    [
        Param::new(SpaTypes::ObjectParamBuffers, ParamType::Buffers, vec![buffers]),
        meta(sys::SPA_META_Header, Value::Int(size_of::<sys::spa_meta_header>() as i32)),
        meta(sys::SPA_META_VideoCrop, Value::Int(region)),
        meta(sys::SPA_META_VideoDamage, Value::Choice(ChoiceValue::Int(regions))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_and_wished_can_be_read_back_and_is_no_agreement_yet() {
        let offer = offer(Rate::DEFAULT).unwrap();
        assert_eq!(agreed(offer.pod().unwrap()), None, "choices are no format");
        let wishes = wishes();
        assert_eq!(wishes.len(), 4);
        assert!(wishes.iter().all(|wish| wish.pod().is_some_and(|pod| agreed(pod).is_none())));
    }
}
