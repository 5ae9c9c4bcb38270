/** Text frames of a server, out of the bytes of its socket. Server frames carry no mask ([RFC 6455] 5.1). */
export class FrameSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** Calls `on` with each whole frame's payload; the rest waits for more bytes. */
  push(chunk: Buffer, on: (payload: Buffer, opcode: number) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at);
      if (frame === null) break;
      on(bytes.subarray(frame.from, frame.to), frame.opcode);
      at = frame.to;
    }
    this.#rest = bytes.subarray(at);
  }
}

const frameAt = (bytes: Buffer, at: number): { from: number; to: number; opcode: number } | null => {
  if (bytes.length < at + 2) return null;
  const opcode = (bytes[at] as number) & 0x0f;
  const short = (bytes[at + 1] as number) & 0x7f;
  let from = at + 2;
  let length = short;
  if (short === 126) {
    if (bytes.length < at + 4) return null;
    length = bytes.readUInt16BE(at + 2);
    from = at + 4;
  } else if (short === 127) {
    if (bytes.length < at + 10) return null;
    length = Number(bytes.readBigUInt64BE(at + 2));
    from = at + 10;
  }
  return bytes.length < from + length ? null : { from, to: from + length, opcode };
};

const TOKEN = / (\d+):(\d+);/y;

/** The tokens that reach one socket, in order. A long gathered text is cut anywhere, so a token may lie in two frames. */
export class TokenReader {
  next = 0;
  #rest = '';

  /** Calls `on` with the time from birth to `atUs` for each token that is whole now. Throws when one is missing or there twice. */
  take(frame: string, atUs: number, on: (latencyMs: number) => void): void {
    const { text, payload } = JSON.parse(frame) as { text?: string; payload?: { text?: string } };
    this.#rest += text ?? payload?.text ?? '';
    TOKEN.lastIndex = 0;
    let end = 0;
    for (let match = TOKEN.exec(this.#rest); match; match = TOKEN.exec(this.#rest)) {
      if (Number(match[1]) !== this.next) throw new Error(`token ${match[1]} arrived in place of ${this.next}`);
      this.next++;
      end = TOKEN.lastIndex;
      on((atUs - Number(match[2])) / 1000);
    }
    this.#rest = this.#rest.slice(end);
  }
}
