import type { SessionState } from './session-state.ts';

/**
 * One number for a whole session, so that clients can be compared: SHA-256, as 64 hexadecimal digits, of the folded state as
 * canonical JSON in UTF-8. Written out here because a browser has no synchronous digest, and none at all on a plain page.
 */
export const stateHash = (state: SessionState): string => sha256(canonicalJson(state));

/**
 * JSON without a choice (RFC 8785): members in the order of their names' UTF-16 units, no space, strings and numbers as
 * `JSON.stringify` writes them, and no members that are undefined.
 * `known`: texts of objects that were written before and never change.
 */
export const canonicalJson = (value: unknown, known?: WeakMap<object, string>): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null, known)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const written = known?.get(value);
  if (written !== undefined) return written;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member, known)}`);
  return `{${members.join(',')}}`;
};

/** The first 32 bits of the fractions of the cube roots of the first 64 primes. */
const K = words(
  '428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5d807aa9812835b01243185be550c7dc3' +
    '72be5d7480deb1fe9bdc06a7c19bf174e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da' +
    '983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca63511429296727b70a852e1b21384d2c6dfc53380d13' +
    '650a7354766a0abb81c2c92e92722c85a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070' +
    '19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3748f82ee78a5636f84c878148cc70208' +
    '90befffaa4506cebbef9a3f7c67178f2',
);
/** The same of the square roots of the first 8. */
const START = words('6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19');

function words(hex: string): Int32Array {
  return Int32Array.from(hex.match(/.{8}/g) ?? [], (word) => Number.parseInt(word, 16) | 0);
}

const at = (list: Int32Array, i: number): number => list[i] as number;
const turned = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/** FIPS 180-4, over the UTF-8 of a text. */
export const sha256 = (text: string): string => {
  const bytes = new TextEncoder().encode(text);
  const padded = new DataView(new ArrayBuffer(Math.ceil((bytes.length + 9) / 64) * 64));
  new Uint8Array(padded.buffer).set(bytes);
  padded.setUint8(bytes.length, 0x80);
  padded.setBigUint64(padded.byteLength - 8, BigInt(bytes.length) * 8n);
  const hash = START.slice();
  const w = new Int32Array(64);
  for (let block = 0; block < padded.byteLength; block += 64) {
    for (let i = 0; i < 64; i++) w[i] = i < 16 ? padded.getInt32(block + 4 * i) : expanded(w, i);
    compress(hash, w);
  }
  return Array.from(hash, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
};

const expanded = (w: Int32Array, i: number): number => {
  const a = at(w, i - 15);
  const b = at(w, i - 2);
  const s0 = turned(a, 7) ^ turned(a, 18) ^ (a >>> 3);
  const s1 = turned(b, 17) ^ turned(b, 19) ^ (b >>> 10);
  return (at(w, i - 16) + s0 + at(w, i - 7) + s1) | 0;
};

const compress = (hash: Int32Array, w: Int32Array): void => {
  let [a, b, c, d, e, f, g, h] = hash as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + at(K, i) + at(w, i)) | 0;
    const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) hash[i] = at(hash, i) + word;
};
