// Mixes tracks. Of each there is a buffer, whose level is steered by playing a little faster or slower: the two crystals differ.

const BLOCK = 480;

// Frames that are to lie there: at least so many, more after a gap, at most so many; so much beyond what is wanted the oldest go.
const LEAST = 3 * BLOCK;
const MOST = 12 * BLOCK;
const MUCH = 4 * BLOCK;

// The most that the speed differs, which nobody hears.
const STEER = 0.004;

// At a cut what comes rises in so many frames, and what was heard falls by so much a frame.
const FADE = 1 / 128;
const FALL = 0.985;

// What is to be heard of one track.
class Track {
  constructor() {
    Object.assign(this, { blocks: [], frames: 0, at: 0, target: LEAST, level: LEAST, playing: false });
    // What was heard last; at a cut it dies away (`tail`) while what follows comes up (`gain`).
    Object.assign(this, { gain: 0, left: 0, right: 0, tailLeft: 0, tailRight: 0 });
  }

  push({ channels, samples }) {
    const frames = samples.length / channels;
    this.blocks.push({ channels, samples, frames });
    this.frames += frames;
    if (this.frames - this.at > this.target + MOST) this.shed();
  }

  // Down to what is to lie there.
  shed() {
    while (this.blocks.length > 1 && this.frames - this.at - this.blocks[0].frames >= this.target) {
      this.frames -= this.blocks.shift().frames;
      this.at = 0;
    }
    this.level = this.frames - this.at;
    this.cut();
  }

  // What follows is not what was to follow: no click.
  cut() {
    Object.assign(this, { gain: 0, tailLeft: this.left, tailRight: this.right });
  }

  // Adds its next frames.
  mix(left, right) {
    const level = this.frames - this.at;
    if (!this.playing && level >= this.target) {
      this.playing = true;
      this.shed();
    }
    this.level += (level - this.level) / 64;
    if (this.playing && this.level > this.target + MUCH) this.shed();
    const speed = 1 + Math.max(-STEER, Math.min(STEER, ((this.level - this.target) / this.target) * 0.01));
    for (let frame = 0; frame < left.length; frame += 1) {
      let [here, there] = [0, 0];
      if (this.playing && this.fetch()) {
        const [block, whole] = [this.blocks[0], Math.floor(this.at)];
        const part = this.at - whole;
        this.gain = Math.min(1, this.gain + FADE);
        here = this.sample(block, whole, 0, part) * this.gain;
        there = block.channels > 1 ? this.sample(block, whole, 1, part) * this.gain : here;
        this.at += speed;
      }
      this.tailLeft *= FALL;
      this.tailRight *= FALL;
      left[frame] += this.left = here + this.tailLeft;
      right[frame] += this.right = there + this.tailRight;
    }
    // Gaps that are long past are forgotten, in minutes.
    if (this.playing) this.target = Math.max(LEAST, this.target - 0.02);
  }

  // Whether there is a frame; if not, the next ones wait longer.
  fetch() {
    while (this.blocks.length && this.at >= this.blocks[0].frames) {
      this.at -= this.blocks[0].frames;
      this.frames -= this.blocks.shift().frames;
    }
    if (this.blocks.length) return true;
    Object.assign(this, { playing: false, at: 0, frames: 0, target: Math.min(this.target + BLOCK, MOST) });
    this.cut();
    return false;
  }

  // Between two samples, -1 to 1.
  sample(block, whole, channel, part) {
    const here = block.samples[whole * block.channels + channel];
    return (here + ((this.after(whole + 1, channel) ?? here) - here) * part) / 32768;
  }

  // The sample at this frame, which may be the next block's first.
  after(frame, channel) {
    const [block, next] = this.blocks;
    if (frame < block.frames) return block.samples[frame * block.channels + channel];
    return next?.samples[Math.min(channel, next.channels - 1)];
  }
}

class Tracks extends AudioWorkletProcessor {
  constructor() {
    super();
    this.tracks = new Map();
    this.turns = 0;
    this.port.onmessage = ({ data }) => {
      if (!data) return this.tracks.clear();
      if (data.over) return this.tracks.delete(data.track);
      let track = this.tracks.get(data.track);
      if (!track) this.tracks.set(data.track, (track = new Track()));
      track.push(data);
    };
  }

  process(_, [[left, right]]) {
    for (const track of this.tracks.values()) track.mix(left, right);
    this.turns += 1;
    if (this.turns % 128 === 0) {
      const levels = [...this.tracks.values()].map((track) => track.frames - track.at);
      this.port.postMessage(Math.max(0, ...levels) / sampleRate);
    }
    return true;
  }
}

registerProcessor("tracks", Tracks);

// What a microphone hears, in blocks of 16 bit at 48 kHz, whatever the device's rate is.
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    Object.assign(this, { block: new Int16Array(BLOCK), filled: 0, phase: 0, before: 0, step: sampleRate / 48000 });
  }

  put(sample) {
    this.block[this.filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
    this.filled += 1;
    if (this.filled < BLOCK) return;
    this.port.postMessage({ block: this.block, at: currentTime }, [this.block.buffer]);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
  }

  process([[heard]]) {
    for (const sample of heard ?? []) {
      for (; this.phase < 1; this.phase += this.step) this.put(this.before + (sample - this.before) * this.phase);
      this.phase -= 1;
      this.before = sample;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
