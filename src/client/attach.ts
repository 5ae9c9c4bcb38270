import type { AttachOptions } from './attach-options.ts';
import { Attachment } from './attachment.ts';
import { openNodeSocket } from './node.ts';

export type { AttachOptions, AttachState } from './attach-options.ts';
export type { Attachment } from './attachment.ts';

/** An attachment over the sockets of Node. */
export const attach = (options: AttachOptions): Attachment =>
  new Attachment(options, { openSocket: openNodeSocket, onWake: () => () => undefined });
