"""One side of a pair of GStreamer's webrtcbin: y4m on stdin and a microphone of PulseAudio's go out, a window and a speaker take in.

webrtc.py offer|answer SOCKET vp8|h264 LATENCY_MS cleaned|as-heard MICROPHONE SPEAKER

`cleaned` sound goes through webrtcdsp: echo, noise, gain. The two sides tell each other descriptions and candidates over a Unix socket, a JSON value a line. Each second a line on stdout says
what its jitter buffers and its Opus decoder had to make up for.
"""

import json
import os
import socket
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

side, path, codec, latency, way, microphone, speaker = sys.argv[1:]
Gst.init(None)

camera = sys.stdin.buffer
header = {word[:1]: word[1:].decode() for word in camera.readline().split()[1:]}
width, height, fps = int(header[b"W"]), int(header[b"H"]), int(header[b"F"].split(":")[0])
# A quarter of a bit a pixel leaves no visible loss.
kbit = width * height * fps // 4000

ENCODERS = {
    "vp8": f"vp8enc deadline=1 cpu-used=8 threads=2 lag-in-frames=0 end-usage=cbr target-bitrate={kbit * 1000} keyframe-max-dist={fps * 4} "
    "error-resilient=default ! rtpvp8pay ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
    "h264": f"x264enc tune=zerolatency speed-preset=ultrafast threads=2 bitrate={kbit} key-int-max={fps * 4} "
    "! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency "
    "! application/x-rtp,media=video,encoding-name=H264,payload=96",
}
DECODERS = {
    "VP8": "rtpvp8depay ! vp8dec threads=2",
    "H264": "rtph264depay ! h264parse ! avdec_h264 max-threads=2 thread-type=2",
}
# Before the microphone's sound is encoded, and before the other's is played.
CLEANERS = {"cleaned": ("! webrtcdsp probe=probe", "! webrtcechoprobe name=probe"), "as-heard": ("", "")}

pipeline = Gst.parse_launch(
    f"webrtcbin name=peer bundle-policy=max-bundle latency={latency} "
    f"appsrc name=camera is-live=true do-timestamp=true format=time max-buffers=1 leaky-type=downstream "
    f"caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! {ENCODERS[codec]} ! peer. "
    f"pulsesrc device={microphone} buffer-time=20000 latency-time=10000 ! audio/x-raw,rate=48000,channels=1 "
    f"! audioconvert {CLEANERS[way][0]} ! opusenc frame-size=10 audio-type=restricted-lowdelay bitrate=64000 "
    "! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! peer. "
    f"rtpopusdepay name=hears ! opusdec name=opusdec plc=true ! audioconvert ! audioresample {CLEANERS[way][1]} "
    f"! pulsesink device={speaker} buffer-time=20000 latency-time=10000"
)
peer, source = pipeline.get_by_name("peer"), pipeline.get_by_name("camera")
elements = [pipeline.get_by_name("opusdec")]
pipeline.connect("deep-element-added", lambda _, parent, element: elements.append(element))


def fail(why):
    """Ends the process; no side plays on alone."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


def film():
    """Hands pictures on as they come; one that nobody has taken yet is replaced."""
    while camera.readline().startswith(b"FRAME"):
        source.emit("push-buffer", Gst.Buffer.new_wrapped(camera.read(width * height * 3 // 2)))
    os._exit(0)


def meet():
    """The connection to the other side; whoever offers waits for it."""
    if side == "offer":
        with socket.socket(socket.AF_UNIX) as waits:
            waits.bind(path)
            waits.listen(1)
            return waits.accept()[0]
    while True:
        try:
            other = socket.socket(socket.AF_UNIX)
            other.connect(path)
            return other
        except OSError:
            other.close()
            time.sleep(0.02)


def show(_, pad):
    """Plays one track that comes."""
    if pad.direction != Gst.PadDirection.SRC:
        return
    caps = pad.get_current_caps().get_structure(0)
    if caps.get_string("media") == "audio":
        pad.link(pipeline.get_by_name("hears").get_static_pad("sink"))
        return
    words = f"{DECODERS[caps.get_string('encoding-name')]} ! videoconvert ! ximagesink sync=false"
    shown = Gst.parse_bin_from_description(words, True)
    pipeline.add(shown)
    shown.sync_state_with_parent()
    pad.link(shown.get_static_pad("sink"))


def say(value):
    other.sendall(json.dumps(value).encode() + b"\n")


def described(promise, kind):
    """An offer or an answer is made: it is ours, and the other side is told."""
    # The description lies in the reply and lives as long.
    reply = promise.get_reply()
    description = reply.get_value(kind)
    peer.emit("set-local-description", description, None)
    say({"type": kind, "sdp": description.sdp.as_text()})


def listen():
    """What the other side says."""
    for line in other.makefile():
        said = json.loads(line)
        if "candidate" in said:
            peer.emit("add-ice-candidate", said["line"], said["candidate"])
            continue
        _, sdp = GstSdp.SDPMessage.new_from_text(said["sdp"])
        kind = GstWebRTC.WebRTCSDPType.OFFER if said["type"] == "offer" else GstWebRTC.WebRTCSDPType.ANSWER
        promise = Gst.Promise.new()
        peer.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, sdp), promise)
        promise.wait()
        if said["type"] == "offer":
            peer.emit("create-answer", None, Gst.Promise.new_with_change_func(described, "answer"))
    fail("the other side is gone")


def report():
    """What had to be made up for, so far."""
    said = {"late": 0, "lost": 0, "concealed_ms": 0.0}
    for element in elements:
        if element.get_name().startswith("rtpjitterbuffer"):
            stats = element.get_property("stats")
            said["late"] += stats.get_value("num-late")
            said["lost"] += stats.get_value("num-lost")
        elif element.get_name().startswith("opusdec"):
            said["concealed_ms"] += element.get_property("stats").get_value("plc-duration") / 1e6
    print(json.dumps(said), flush=True)
    return True


def message(_, message):
    if message.type == Gst.MessageType.ERROR:
        fail(message.parse_error())
    elif message.type == Gst.MessageType.LATENCY:
        pipeline.recalculate_latency()
    return True


loop = GLib.MainLoop()
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", message)
other = meet()
peer.connect("pad-added", show)
peer.connect("on-ice-candidate", lambda _, line, candidate: say({"line": line, "candidate": candidate}))
if side == "offer":
    peer.connect(
        "on-negotiation-needed",
        lambda _: peer.emit("create-offer", None, Gst.Promise.new_with_change_func(described, "offer")),
    )
for work in (film, listen):
    threading.Thread(target=work, daemon=True).start()
pipeline.set_state(Gst.State.PLAYING)
GLib.timeout_add_seconds(1, report)
loop.run()
