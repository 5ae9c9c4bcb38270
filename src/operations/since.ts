/** `2026-01-31`, any other ISO time, or so many days, weeks or months ago: `7d`, `2w`, `1m`. Null when it is none of these. */
export const parseSince = (text: string, now = new Date()): number | null => {
  const ago = /^(\d{1,4})([dwm])$/.exec(text.trim());
  if (ago) {
    const then = new Date(now);
    const amount = Number(ago[1]);
    if (ago[2] === 'm') then.setMonth(then.getMonth() - amount);
    else then.setDate(then.getDate() - amount * (ago[2] === 'w' ? 7 : 1));
    return then.getTime();
  }
  if (!/^\d{4}-\d{2}-\d{2}/.test(text.trim())) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
};
