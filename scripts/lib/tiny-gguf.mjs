import { writeFileSync } from 'node:fs';

/**
 * Writes a language model file with random weights: a few hundred kilobytes, the same bytes for the same seed. It babbles in
 * words of its small vocabulary; what it is good for is a real inference library that really loads, computes and streams.
 */
const SHAPE = { embedding: 64, layers: 2, heads: 4, hidden: 128, context: 16_384 };
const ALIGNMENT = 32;

const WORDS =
  'amber birch cedar delta ember fjord grove heron inlet juniper kelp larch maple nectar osprey pine quartz reed'
    .split(' ')
    .map((word) => `▁${word}`);
const BYTES = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const TOKENS = ['<unk>', '<s>', '</s>', ...BYTES, ...WORDS];
const TOKEN_KINDS = { unknown: 2, control: 3, byte: 6, normal: 1 };
const FIRST_WORD = TOKENS.length - WORDS.length;

const kindOf = (id) => {
  if (id === 0) return TOKEN_KINDS.unknown;
  if (id < 3) return TOKEN_KINDS.control;
  return id < FIRST_WORD ? TOKEN_KINDS.byte : TOKEN_KINDS.normal;
};

export const writeTinyGguf = (file, seed = 1) => {
  const tensors = tensorsOf(seed);
  const head = [text('GGUF'), u32(3), u64(tensors.length), u64(METADATA.length)];
  for (const [key, value] of METADATA) head.push(string(key), value);
  let offset = 0;
  for (const { name, dims, data } of tensors) {
    head.push(string(name), u32(dims.length), ...dims.map(u64), u32(0), u64(offset));
    offset += padded(data.byteLength);
  }
  const parts = [padTo(Buffer.concat(head))];
  for (const { data } of tensors) parts.push(padTo(Buffer.from(data.buffer)));
  writeFileSync(file, Buffer.concat(parts));
};

// --- the container ---------------------------------------------------------------------------------------------------

const u32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(n);
  return b;
};
const i32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeInt32LE(n);
  return b;
};
const f32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeFloatLE(n);
  return b;
};
const u64 = (n) => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(BigInt(n));
  return b;
};
const text = (s) => Buffer.from(s, 'utf8');
const string = (s) => Buffer.concat([u64(text(s).length), text(s)]);
const TYPE = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 };
const asUint = (n) => Buffer.concat([u32(TYPE.uint32), u32(n)]);
const asFloat = (n) => Buffer.concat([u32(TYPE.float32), f32(n)]);
const asString = (s) => Buffer.concat([u32(TYPE.string), string(s)]);
const asBool = (b) => Buffer.concat([u32(TYPE.bool), Buffer.from([b ? 1 : 0])]);
const asArray = (type, items) => Buffer.concat([u32(TYPE.array), u32(type), u64(items.length), ...items]);
const padded = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const padTo = (buffer) => Buffer.concat([buffer, Buffer.alloc(padded(buffer.length) - buffer.length)]);

const METADATA = [
  ['general.architecture', asString('llama')],
  ['general.name', asString('tiny-random')],
  ['general.file_type', asUint(0)],
  ['llama.vocab_size', asUint(TOKENS.length)],
  ['llama.context_length', asUint(SHAPE.context)],
  ['llama.embedding_length', asUint(SHAPE.embedding)],
  ['llama.block_count', asUint(SHAPE.layers)],
  ['llama.feed_forward_length', asUint(SHAPE.hidden)],
  ['llama.attention.head_count', asUint(SHAPE.heads)],
  ['llama.attention.head_count_kv', asUint(SHAPE.heads)],
  ['llama.rope.dimension_count', asUint(SHAPE.embedding / SHAPE.heads)],
  ['llama.attention.layer_norm_rms_epsilon', asFloat(1e-5)],
  ['tokenizer.ggml.model', asString('llama')],
  ['tokenizer.ggml.tokens', asArray(TYPE.string, TOKENS.map(string))],
  [
    'tokenizer.ggml.scores',
    asArray(
      TYPE.float32,
      TOKENS.map((_, id) => f32(-id)),
    ),
  ],
  [
    'tokenizer.ggml.token_type',
    asArray(
      TYPE.int32,
      TOKENS.map((_, id) => i32(kindOf(id))),
    ),
  ],
  ['tokenizer.ggml.bos_token_id', asUint(1)],
  ['tokenizer.ggml.eos_token_id', asUint(2)],
  ['tokenizer.ggml.unknown_token_id', asUint(0)],
  ['tokenizer.ggml.add_bos_token', asBool(true)],
];

// --- the weights -----------------------------------------------------------------------------------------------------

/** Numbers in -1..1, the same for the same seed (mulberry32). */
const randomFrom = (seed) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
};

const tensorsOf = (seed) => {
  const random = randomFrom(seed);
  const { embedding: n, hidden, layers } = SHAPE;
  const filled = (size, value) => new Float32Array(size).map(value);
  const matrix = (name, columns, rows) => ({
    name,
    dims: [columns, rows],
    data: filled(columns * rows, () => random() * Math.sqrt(3 / columns)),
  });
  const ones = (name) => ({ name, dims: [n], data: filled(n, () => 1) });
  const block = (i) => [
    ones(`blk.${i}.attn_norm.weight`),
    ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].map((m) => matrix(`blk.${i}.${m}.weight`, n, n)),
    ones(`blk.${i}.ffn_norm.weight`),
    matrix(`blk.${i}.ffn_gate.weight`, n, hidden),
    matrix(`blk.${i}.ffn_up.weight`, n, hidden),
    matrix(`blk.${i}.ffn_down.weight`, hidden, n),
  ];
  const output = matrix('output.weight', n, TOKENS.length);
  // Bytes and control tokens are never the likeliest next token, so what comes out is words.
  output.data.fill(0, 0, FIRST_WORD * n);
  return [
    matrix('token_embd.weight', n, TOKENS.length),
    ...Array.from({ length: layers }, (_, i) => block(i)).flat(),
    ones('output_norm.weight'),
    output,
  ];
};
