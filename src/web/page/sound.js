// Sound: blocks of all tracks to the loudspeaker, soon. In a worklet where there is one (under https, and on this machine), else a
// buffer scheduled for each block.

const RATE = 48000;

// Scheduled blocks are played so long after they came, s: at least, and at most after gaps; what is later by more is left out.
const [LEAST, MOST, LATE] = [0.03, 0.1, 0.15];

export class Sound {
  constructor() {
    Object.assign(this, { on: false, context: null, node: null, due: new Map(), ahead: LEAST, level: 0 });
    // Told whether it is heard, whenever that changes.
    this.changed = () => {};
  }

  make() {
    this.context = new AudioContext({ latencyHint: "interactive", sampleRate: RATE });
    this.context.onstatechange = () => this.changed(this.context.state === "running");
  }

  // Whether this browser plays without being touched first.
  async mayPlay() {
    try {
      this.make();
      await new Promise((done) => setTimeout(done, 100));
      return this.context.state === "running";
    } catch {
      return false;
    }
  }

  async turn(on) {
    if (on) {
      if (!this.context) this.make();
      await this.context.resume();
      if (!this.node && this.context.audioWorklet) {
        await this.context.audioWorklet.addModule("worklet.js");
        this.node = new AudioWorkletNode(this.context, "tracks", { numberOfInputs: 0, outputChannelCount: [2] });
        this.node.port.onmessage = ({ data }) => { this.level = data; };
        this.node.connect(this.context.destination);
      }
    } else {
      await this.context?.suspend();
      this.node?.port.postMessage(null);
      this.due.clear();
    }
    this.on = on;
    this.session(this.films);
  }

  // A phone is told what the page does: it then plays with its silent switch on, or records as well.
  session(films) {
    this.films = films;
    if (navigator.audioSession) navigator.audioSession.type = films ? "play-and-record" : this.on ? "playback" : "auto";
  }

  block(track, channels, samples) {
    if (!this.on || !channels) return;
    // The socket's buffer is ours: it goes over without a copy.
    if (this.node) this.node.port.postMessage({ track, channels, samples }, [samples.buffer]);
    else this.schedule(track, channels, samples);
  }

  schedule(track, channels, samples) {
    const { context } = this;
    const frames = samples.length / channels;
    const soonest = context.currentTime + this.ahead;
    let due = this.due.get(track) ?? soonest;
    if (due < context.currentTime) {
      // A gap: the next ones wait longer.
      this.ahead = Math.min(MOST, this.ahead + 0.01);
      due = soonest;
    } else {
      this.ahead = Math.max(LEAST, this.ahead - 1e-5);
    }
    this.level = due - context.currentTime;
    if (this.level > LATE) return;
    // What lies there too long is played a little faster, which makes up for two crystals as well.
    const speed = this.level > this.ahead + 0.06 ? 1.02 : this.level > this.ahead + 0.015 ? 1.004 : 1;
    const buffer = context.createBuffer(channels, frames, RATE);
    for (let channel = 0; channel < channels; channel += 1) {
      const to = buffer.getChannelData(channel);
      for (let frame = 0; frame < frames; frame += 1) to[frame] = samples[frame * channels + channel] / 32768;
    }
    const source = new AudioBufferSourceNode(context, { buffer, playbackRate: speed });
    source.connect(context.destination);
    source.start(due);
    this.due.set(track, due + frames / RATE / speed);
  }

  end(track) {
    this.node?.port.postMessage({ track, over: true });
    this.due.delete(track);
  }

  // How long a block waits here, ms.
  latency() {
    return 1000 * (this.level + (this.context?.outputLatency ?? this.context?.baseLatency ?? 0));
  }
}
