import type { Frame } from './daemon.ts';
import { missingFrom } from './shape.ts';

/** Members of a frame whose values are part of the contract: two writers may come in either order. */
export const FIXED_IN_FRAMES = new Set(
  'v event type action mode role cancelledActive ok conflict decision toolName name'.split(' '),
);

export const eventsOf = (body: unknown): Frame[] | undefined => (body as { events?: Frame[] } | null)?.events;
export const requestsOf = (frames: readonly Frame[]): string[] =>
  frames.filter((f) => f.event === 'permission.request').map((f) => String(f.payload?.requestId));
export const acksOf = (frames: readonly Frame[]): Frame[] => frames.filter((f) => f.event === undefined);

/** Runs of text become one landmark with the whole of it: how it is split is nobody's promise. */
const landmarks = (frames: readonly Frame[]): Frame[] => {
  const out: Frame[] = [];
  for (const frame of frames) {
    if (frame.event === undefined) continue;
    const isText = frame.event === 'turn.token' || frame.event === 'turn.thinking';
    if (!isText) {
      out.push(frame);
      continue;
    }
    const last = out.at(-1);
    const text = frame.event === 'turn.token' ? String(frame.payload?.text) : '';
    if (last?.event === 'text') last.payload = { ...last.payload, text: `${last.payload?.text}${text}` };
    else out.push({ event: 'text', payload: { text } });
  }
  return out;
};

/**
 * Every landmark of the recording must come here, in the same order and with the same members. In between there may only be
 * what the old daemon lost (`no-lost-events`), did not store (`text-stored`) or did not mark (`progress-phases`). When a turn is
 * accepted while another runs is a matter of time, so `turn.queued` is compared in a lane of its own; so are background
 * processes, which run beside the turns.
 */
export const compareStream = (
  theirs: readonly Frame[],
  ours: readonly Frame[],
  kind: 'live' | 'stored',
  trimmed: boolean,
): string[] => {
  const acks = acksOf(ours);
  const [was, is] = [theirs, ours].map((all) => landmarks(all.filter((f) => !isBackground(f)))) as [Frame[], Frame[]];
  const lane = (all: Frame[], queued: boolean) => all.filter((f) => (f.event === 'turn.queued') === queued);
  return [
    ...acksOf(theirs).flatMap((ack, i) => missingFrom(ack, acks[i] ?? null, FIXED_IN_FRAMES, `ack ${i}`)),
    ...compareLane(lane(was, true), lane(is, true), kind, trimmed),
    ...compareLane(lane(was, false), lane(is, false), kind, trimmed),
    ...compareProcesses(theirs.filter(isBackground), ours.filter(isBackground), kind),
  ];
};

const isBackground = (frame: Frame): boolean => frame.event?.startsWith('background.') === true;

interface OfProcess {
  processId?: string;
  process?: { processId: string; state: string; endedAt: string | null };
  stream?: string;
  reason?: string;
}
const payloadOf = (frame: Frame): OfProcess => (frame.payload ?? {}) as OfProcess;

/** What was told of each process, in order: its statuses, and what it wrote to either stream. */
const processesOf = (frames: readonly Frame[]): Map<string, Frame[]>[] => {
  const all = new Map<string, Map<string, Frame[]>>();
  for (const frame of frames) {
    const { processId, process, stream = 'status' } = payloadOf(frame);
    const id = process?.processId ?? processId ?? '';
    const lanes = all.get(id) ?? new Map<string, Frame[]>();
    all.set(id, lanes.set(stream, [...(lanes.get(stream) ?? []), frame]));
  }
  return [...all.values()];
};

/**
 * Processes run beside each other, so each is compared with the one that was started as the same one. Ours may have told more:
 * it ends sooner (`ends-with-leader`), so there was also room for one more of them while the recording was live.
 */
const compareProcesses = (theirs: readonly Frame[], ours: readonly Frame[], kind: 'live' | 'stored'): string[] => {
  // A time-out was told twice (`one-end`): as soon as it struck, and at the end.
  const once = theirs.filter((f) => payloadOf(f).reason !== 'timeout' || payloadOf(f).process?.endedAt !== null);
  const [was, is] = [processesOf(once), processesOf(ours)];
  const problems = was.flatMap((lanes, i) =>
    [...lanes].flatMap(([name, frames]) =>
      frames.flatMap((frame, k) => compareOfProcess(frame, is[i]?.get(name)?.[k], `process ${i}, ${name} ${k}`)),
    ),
  );
  const rest = kind === 'stored' ? is.slice(was.length) : [];
  return [...problems, ...rest.map(() => 'after the end: another process')];
};

const compareOfProcess = (was: Frame, now: Frame | undefined, what: string): string[] => {
  const [a, b] = [payloadOf(was), now && payloadOf(now)];
  if (now === undefined || b === undefined) return [`${what}: is not there, was ${a.reason ?? was.event}`];
  const [theirs, ours] = [a, b].map(({ reason, process }) => `${reason}, ${process?.state}`);
  return [
    ...(theirs === ours ? [] : [`${what}: was ${theirs}; is ${ours}`]),
    ...missingFrom(was, now, FIXED_IN_FRAMES, what),
  ];
};

const compareLane = (
  theirs: readonly Frame[],
  ours: readonly Frame[],
  kind: 'live' | 'stored',
  trimmed: boolean,
): string[] => {
  let at = 0;
  for (const was of theirs) {
    while (ours[at] && ours[at]?.event !== was.event && mayBeExtra(ours[at] as Frame)) at += 1;
    const now = ours[at];
    if (now === undefined || now.event !== was.event) {
      return [`event ${at}: was ${was.event}, is ${now?.event ?? 'not there'}`];
    }
    // A text that the recording was in the middle of may be further along here.
    const growing = kind === 'live' && was === theirs.at(-1);
    const problems = compareLandmark(was, now, trimmed, growing);
    if (problems.length > 0) return [`event ${at} (${was.event}): ${problems.join(', ')}`];
    at += 1;
  }
  // A page of stored events has an end; a live stream goes on.
  const rest = kind === 'stored' ? ours.slice(at).filter((f) => !mayBeExtra(f)) : [];
  return rest.map((f) => `after the end: ${f.event}`);
};

const mayBeExtra = (frame: Frame): boolean => frame.event === 'text' || frame.event === 'turn.progress';

const compareLandmark = (was: Frame, now: Frame, trimmed: boolean, growing: boolean): string[] => {
  if (was.event === 'text') {
    const [whole = '', ours = ''] = [was, now]
      .map((f) => String(f.payload?.text))
      .map((text) => (trimmed ? text.replaceAll(' ', '') : text));
    // The old daemon sent plain text as a whole at the end; a reader that came in the middle has its second part here.
    return whole === '' || whole.endsWith(ours) || (growing && ours.startsWith(whole))
      ? []
      : [`text ${JSON.stringify(ours)} is not the end of the recorded`];
  }
  const problems = missingFrom(was, now, FIXED_IN_FRAMES);
  const named = was.event === 'session.updated' ? 'payload.snapshot.activeTurnId: is missing' : null;
  return problems.filter((p) => p !== named);
};
