/** Opcode 1, final, as every text frame of ours is ([RFC 6455] 5.2). A server's frames carry no mask. */
const TEXT_FINAL = 0x81;

const headBytes = (payload: number): number => (payload < 126 ? 2 : payload < 65_536 ? 4 : 10);

/** Text frames, one behind the other, in one piece of memory. */
export const textFrames = (texts: readonly string[]): Buffer => {
  const sizes = texts.map((text) => Buffer.byteLength(text));
  const bytes = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + headBytes(size) + size, 0));
  let at = 0;
  for (const [i, text] of texts.entries()) {
    const size = sizes[i] as number;
    bytes[at] = TEXT_FINAL;
    if (size < 126) bytes[at + 1] = size;
    else if (size < 65_536) {
      bytes[at + 1] = 126;
      bytes.writeUInt16BE(size, at + 2);
    } else {
      bytes[at + 1] = 127;
      bytes.writeUInt32BE(0, at + 2);
      bytes.writeUInt32BE(size, at + 6);
    }
    at += headBytes(size);
    at += bytes.write(text, at);
  }
  return bytes;
};

/**
 * Frames of the last batch. A session's readers in step are sent the same texts in the same turn: the frames are built once, and
 * each socket is given the same bytes. They are forgotten when the turn is over.
 */
export class FrameCache {
  #texts: readonly string[] | null = null;
  #bytes: Buffer = Buffer.alloc(0);

  framesOf(texts: readonly string[]): Buffer {
    const last = this.#texts;
    if (last?.length === texts.length && texts.every((text, i) => text === last[i])) return this.#bytes;
    if (last === null) setImmediate(this.#forget);
    this.#texts = texts;
    this.#bytes = textFrames(texts);
    return this.#bytes;
  }

  readonly #forget = (): void => {
    this.#texts = null;
    this.#bytes = Buffer.alloc(0);
  };
}
