// This browser's camera and microphone, as JPEGs and blocks of sound.

const RATE = 48000;
const QUALITY = 0.85;
const MOST = { width: 1280, height: 720, frameRate: 30 };

// Browsers have cameras under https, and on this machine, alone.
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

export class Camera {
  // `send`: where messages go, with the time on the page's clock in them. `ended`: told where it ends by itself, and why.
  constructor(send, ended) {
    Object.assign(this, { send, ended, on: false, name: "", facing: "environment", run: null, stream: null, context: null });
    // Some browsers play nothing that is not on the page.
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, className: "unseen" });
    document.body.append(this.video);
    this.canvas = document.createElement("canvas");
    this.to = this.canvas.getContext("2d", { alpha: false });
  }

  // `tell`: of what is missing.
  async start(name, tell) {
    this.stream = await this.open(true).catch((error) => {
      if (!["NotFoundError", "NotAllowedError"].includes(error.name)) throw error;
      // A camera without a microphone is one, too.
      return this.open(false);
    });
    try {
      await this.film();
    } catch (error) {
      this.stop();
      throw error;
    }
    Object.assign(this, { on: true, name });
    if (this.stream.getAudioTracks().length) await this.listen().catch((error) => tell(`Your camera is sent without sound: ${error.message}`));
  }

  open(audio) {
    const { width, height, frameRate } = MOST;
    const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate }, facingMode: { ideal: this.facing } };
    return navigator.mediaDevices.getUserMedia({ video, audio });
  }

  async film() {
    this.run = {};
    this.stream.getVideoTracks()[0].onended = () => this.ended("the camera is gone");
    this.video.srcObject = this.stream;
    await this.video.play();
    this.next(this.run);
  }

  // The camera on the other side of a phone.
  async turn() {
    this.facing = this.facing === "environment" ? "user" : "environment";
    const [before] = this.stream.getVideoTracks();
    before.onended = null;
    before.stop();
    this.stream.removeTrack(before);
    const other = await this.open(false);
    this.stream.addTrack(other.getVideoTracks()[0]);
    await this.film();
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    this.context?.close();
    Object.assign(this, { on: false, run: null, stream: null, context: null });
  }

  next(run) {
    if (run !== this.run) return;
    const again = (_, about) => run === this.run && this.picture(moment(about), run).finally(() => this.next(run));
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(again);
    else setTimeout(again, 1000 / MOST.frameRate);
  }

  async picture(at, run) {
    // As phones turn it; slices are whole blocks.
    const [width, height] = [this.video.videoWidth & ~15, this.video.videoHeight & ~15];
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.to.drawImage(this.video, 0, 0);
    const blob = await new Promise((done) => this.canvas.toBlob(done, "image/jpeg", QUALITY));
    if (!blob) return;
    const bytes = new Uint8Array(await blob.arrayBuffer());
    if (run === this.run && this.on) this.send(message(2, at, bytes), true);
  }

  async listen() {
    // At the device's own rate: not every browser takes another from a microphone.
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.resume();
    await this.context.audioWorklet.addModule("worklet.js");
    const options = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    this.node = new AudioWorkletNode(this.context, "microphone", options);
    // Between the microphone's clock and the page's, ms: messages come late, never early; crystals drift.
    let offset = Infinity;
    this.node.port.onmessage = ({ data: { block, at } }) => {
      offset = Math.min(offset + 0.002, performance.now() - 1000 * at);
      const begun = 1000 * (at - block.length / RATE) + offset;
      this.send(message(3, begun, new Uint8Array(block.buffer)), false);
    };
    // Held: what nobody holds may be taken away.
    this.source = this.context.createMediaStreamSource(this.stream);
    this.source.connect(this.node);
  }
}

// When a picture was caught, where a browser says so by the page's clock; not all do.
function moment(about) {
  const [now, at] = [performance.now(), about?.captureTime];
  return at > now - 300 && at <= now ? at : now;
}

function message(kind, at, bytes) {
  const out = new Uint8Array(16 + bytes.length);
  const view = new DataView(out.buffer);
  view.setUint8(0, kind);
  view.setFloat64(8, at, true);
  out.set(bytes, 16);
  return out.buffer;
}
