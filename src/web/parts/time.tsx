import { useEffect, useState } from 'preact/hooks';
import { agoText } from '../../views/ago.ts';

const clocks = new Map<number, { listeners: Set<(nowMs: number) => void>; timer: ReturnType<typeof setInterval> }>();

/** What time it is, again each `everyMs`; one timer for all who ask for the same, and none while nobody does. */
export const useNow = (everyMs = 1_000): number => {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    setNow(Date.now());
    const clock = clocks.get(everyMs) ?? started(everyMs);
    clock.listeners.add(setNow);
    return () => {
      clock.listeners.delete(setNow);
      if (clock.listeners.size > 0) return;
      clearInterval(clock.timer);
      clocks.delete(everyMs);
    };
  }, [everyMs]);
  return now;
};

const started = (everyMs: number) => {
  const listeners = new Set<(nowMs: number) => void>();
  const timer = setInterval(() => {
    for (const listener of listeners) listener(Date.now());
  }, everyMs);
  const clock = { listeners, timer };
  clocks.set(everyMs, clock);
  return clock;
};

/** A moment as time passes: `5 min ago`, with the date as its title. `at` is ISO text or milliseconds. */
export const Ago = ({ at, everyMs = 10_000 }: { at: string | number; everyMs?: number }) => {
  const now = useNow(everyMs);
  const ms = typeof at === 'number' ? at : Date.parse(at);
  if (!Number.isFinite(ms)) return null;
  const date = new Date(ms);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {agoText(ms, now)}
    </time>
  );
};

/** The time of day. */
export const Clock = ({ at }: { at: string }) => {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return null;
  return (
    <time dateTime={at} title={date.toLocaleString()}>
      {date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}
    </time>
  );
};
