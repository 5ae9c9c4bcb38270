/** `now`, `12 s ago`, `5 min ago`, `3 h ago`, `4 d ago`; a time to come is `in 12 s`. */
export const agoText = (atMs: number, nowMs: number): string => {
  if (!Number.isFinite(atMs)) return '';
  const s = Math.round(Math.abs(nowMs - atMs) / 1_000);
  if (s < 2) return 'now';
  const [count, unit] =
    s < 60 ? [s, 's'] : s < 3_600 ? [s / 60, 'min'] : s < 86_400 ? [s / 3_600, 'h'] : [s / 86_400, 'd'];
  const text = `${Math.floor(count)} ${unit}`;
  return atMs > nowMs ? `in ${text}` : `${text} ago`;
};

/** A span as a clock shows it: `0:07`, `12:40`, `1:02:03`. */
export const clockText = (ms: number): string => {
  const s = Math.max(0, Math.floor(ms / 1_000));
  const two = (n: number): string => String(n).padStart(2, '0');
  const h = Math.floor(s / 3_600);
  const min = Math.floor(s / 60) % 60;
  return h > 0 ? `${h}:${two(min)}:${two(s % 60)}` : `${min}:${two(s % 60)}`;
};
