// Random numbers as numpy.random.default_rng(key).random(dtype=float32) gives them: SeedSequence (Melissa O'Neill's
// randutils) and PCG64, 128 bits at a time. So dropout drops here what it drops in NumPy.
"use strict";
const NumpyRandom = (() => {
  const WORD = 0xffffffffn;
  const ALL = (1n << 128n) - 1n;
  const LOW = (1n << 64n) - 1n;
  const MULTIPLIER = (2549297995355413924n << 64n) + 4865540595714422341n;
  const POOL = 4;

  // The words of 32 bits that NumPy makes of a key: whole numbers, none below 0, as Number or BigInt.
  function wordsOf(key) {
    return key.flatMap(number => {
      let left = BigInt(number);
      const words = [];
      do {
        words.push(Number(left & WORD));
        left >>= 32n;
      } while (left > 0n);
      return words;
    });
  }

  // As many words of 32 bits as are asked for: SeedSequence.generate_state.
  function seeded(key, count) {
    let hashed = 0x43b0d7e5;
    const hash = value => {
      value = (value ^ hashed) >>> 0;
      hashed = Math.imul(hashed, 0x931e8875) >>> 0;
      value = Math.imul(value, hashed) >>> 0;
      return (value ^ (value >>> 16)) >>> 0;
    };
    const mix = (x, y) => {
      const found = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) >>> 0;
      return (found ^ (found >>> 16)) >>> 0;
    };
    const words = wordsOf(key);
    const pool = Array.from({length: POOL}, (_, place) => hash(words[place] ?? 0));
    for (let from = 0; from < POOL; from++) {
      for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    }
    for (const word of words.slice(POOL)) for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(word));
    hashed = 0x8b51f9dd;
    return Array.from({length: count}, (_, place) => {
      let value = (pool[place % POOL] ^ hashed) >>> 0;
      hashed = Math.imul(hashed, 0x58f38ded) >>> 0;
      value = Math.imul(value, hashed) >>> 0;
      return (value ^ (value >>> 16)) >>> 0;
    });
  }

  // Numbers from 0 up to 1, written into `out`, a Float32Array.
  function fill(out, key) {
    const words = seeded(key, 8).map(BigInt);
    const whole = first => (((words[first + 1] << 32n) | words[first]) << 64n) | (words[first + 3] << 32n) | words[first + 2];
    const step = ((whole(4) << 1n) | 1n) & ALL;
    let state = ((step + whole(0)) * MULTIPLIER + step) & ALL;
    for (let place = 0; place < out.length; place += 2) {
      state = (state * MULTIPLIER + step) & ALL;
      const high = state >> 64n;
      const turn = high >> 58n;
      const mixed = high ^ (state & LOW);
      const drawn = ((mixed >> turn) | (mixed << (64n - turn))) & LOW;
      out[place] = (Number(drawn & WORD) >>> 8) / 16777216;
      if (place + 1 < out.length) out[place + 1] = Number(drawn >> 40n) / 16777216;
    }
  }

  return {fill};
})();
