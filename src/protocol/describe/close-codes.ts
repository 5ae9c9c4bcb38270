import { ERRORS, type ErrorCode, errorRow } from '../errors.ts';

export interface CloseCode {
  code: number;
  /** The text of the close frame, when the daemon sends one. */
  reason?: string;
  meaning: string;
}

const ADDED: readonly CloseCode[] = [
  { code: 1000, meaning: 'The client closed it.' },
  { code: 1001, reason: 'shutting-down', meaning: 'The daemon stops: find the next one, and resume at the cursor.' },
  { code: 1002, meaning: 'The client sent bytes that are no frame.' },
  { code: 1005, meaning: 'The client closed it without a code.' },
  { code: 1006, meaning: 'The connection broke, or a frame was above the bound: resume at the cursor.' },
  { code: 1007, meaning: 'The client sent text that is not UTF-8.' },
  { code: 1011, reason: 'internal', meaning: 'A fault of the daemon: resume at the cursor, with a pause.' },
  { code: 1013, meaning: 'Try again later, with a pause; the reason is the code of the error.' },
];

/** Every way in which a socket ends: those of the error table, and those of the transport. */
export const closeCodes = (): CloseCode[] => {
  const own = (Object.keys(ERRORS) as ErrorCode[]).flatMap((name): CloseCode[] => {
    const { close } = errorRow(name);
    return close === undefined
      ? []
      : [{ code: close, meaning: `The error \`${name}\`; its frame comes first, if there is still room for it.` }];
  });
  return [...ADDED, ...own].sort((a, b) => a.code - b.code);
};
