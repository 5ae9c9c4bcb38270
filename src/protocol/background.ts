import { z } from 'zod';
import { SessionIdSchema } from './ids.ts';

/** Background processes on the wire, and how a session's state remembers them. Fields marked "added" are ours. */
const ENDS = ['completed', 'failed', 'killed', 'timeout', 'interrupted'] as const;
const StateSchema = z.enum(['running', ...ENDS]);

export const BackgroundProcessSchema = z.object({
  processId: z.string(),
  sessionId: z.string(),
  pid: z.number().int(),
  command: z.string(),
  label: z.string().optional(),
  cwd: z.string(),
  state: StateSchema,
  /** null while it runs, and when a signal ended it. */
  exitCode: z.number().int().nullable(),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  runtimeMs: z.number(),
  /** 0: none. */
  timeoutMs: z.number().int(),
});
export type BackgroundProcess = z.infer<typeof BackgroundProcessSchema>;

export const BackgroundChunkSchema = z.object({
  /** 1, 2, 3 … within the process. */
  seq: z.number().int(),
  ts: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
  /** Added: what is kept of the output is used up; the last words of each stream follow when the process has ended. */
  truncated: z.literal(true).optional(),
  /** Added: characters of this stream that were left out just before this text. */
  leftOut: z.number().int().optional(),
});
export type BackgroundChunk = z.infer<typeof BackgroundChunkSchema>;
export type OutputPiece = Omit<BackgroundChunk, 'seq' | 'ts'>;
export type OutputStream = BackgroundChunk['stream'];

export const BACKGROUND_EVENTS = {
  'background.status': z.object({
    process: BackgroundProcessSchema,
    reason: z.enum(['started', ...ENDS]),
    previousState: StateSchema.optional(),
    signal: z.string().optional(),
    /** Added, when it starts: what tells this process from a later one with its pid; null where the system does not say. */
    identity: z.string().nullable().optional(),
  }),
  'background.output': BackgroundChunkSchema.extend({
    processId: z.string(),
    sessionId: z.string(),
    pid: z.number().int(),
  }),
} as const;

export const SignalSchema = z.enum(['SIGTERM', 'SIGKILL', 'SIGINT']);
export type Signal = z.infer<typeof SignalSchema>;

export const StartBackgroundSchema = z.object({
  sessionId: SessionIdSchema,
  /** Words, with quotes and backslashes as a shell has them, and nothing else that a shell does. */
  command: z.string().min(1).max(32_768),
  label: z.string().max(500).optional(),
  /** Absolute, or relative to the session's workspace. */
  cwd: z.string().min(1).max(4_096).optional(),
  timeoutMs: z.number().int().min(0).max(86_400_000).optional(),
  /** Added: the command is a script for `/bin/sh`. */
  shell: z.boolean().optional(),
});
export type StartBackground = z.infer<typeof StartBackgroundSchema>;

/** A process as the fold remembers it. */
export interface Background extends Omit<BackgroundProcess, 'sessionId' | 'runtimeMs'> {
  identity: string | null;
  /** `seq` of its newest chunk, and where in the log every `MARK_EVERY`th is, the first one included. */
  chunks: number;
  marks: number[];
}

/** Ended processes that a session remembers; above it the one that ended first is forgotten, and only the log still has it. */
export const ENDED_KEPT_MAX = 20;
export const MARK_EVERY = 256;

type Payload<N extends keyof typeof BACKGROUND_EVENTS> = z.infer<(typeof BACKGROUND_EVENTS)[N]>;

export const isRunning = (p: { endedAt: string | null }): boolean => p.endedAt === null;

export const foldOutput = (all: Background[], { processId, seq }: Payload<'background.output'>, at: number) =>
  all.map((p) => {
    if (p.processId !== processId) return p;
    return { ...p, chunks: seq, marks: (seq - 1) % MARK_EVERY === 0 ? [...p.marks, at] : p.marks };
  });

export const foldStatus = (all: Background[], { process, identity = null }: Payload<'background.status'>) => {
  const { sessionId: _, runtimeMs: __, ...told } = process;
  const known = all.find((p) => p.processId === told.processId);
  const next = known
    ? all.map((p) => (p === known ? { ...p, ...told } : p))
    : [...all, { ...told, identity, chunks: 0, marks: [] }];
  const ended = next.filter((p) => !isRunning(p));
  if (ended.length <= ENDED_KEPT_MAX) return next;
  // Whoever waits for this end asks for it next, however long ago it began.
  const oldest = ended
    .filter((p) => p.processId !== told.processId)
    .reduce((a, b) => ((b.endedAt ?? '') < (a.endedAt ?? '') ? b : a));
  return next.filter((p) => p !== oldest);
};

/** As it is told at `nowMs`. */
export const toProcess = (sessionId: string, p: Background, nowMs: number): BackgroundProcess => {
  const { processId, identity: _, chunks: __, marks: ___, ...told } = p;
  const untilMs = told.endedAt === null ? nowMs : Date.parse(told.endedAt);
  return { processId, sessionId, ...told, runtimeMs: Math.max(0, untilMs - Date.parse(told.startedAt)) };
};
