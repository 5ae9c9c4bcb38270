import { createStore } from '@xstate/store';
import { useStore } from '../use-store.ts';

const KEPT_MAX = 6;

const spoken = createStore({
  context: { last: 0, lines: [] as readonly { id: number; text: string }[] },
  on: {
    said: ({ last, lines }, { text }: { text: string }) => ({
      last: last + 1,
      lines: [...lines, { id: last + 1, text }].slice(-KEPT_MAX),
    }),
  },
});

const CHARS_MAX = 600;

/** Tells a screen reader, politely: after what it is saying now. Nothing is shown. */
export const announce = (text: string): void => {
  const line = text.trim();
  if (line !== '') spoken.trigger.said({ text: line.length > CHARS_MAX ? `${line.slice(0, CHARS_MAX)} …` : line });
};

/** Once in the page. Lines are added, never changed, so each is read once. */
export const Announcer = () => {
  const lines = useStore(spoken, (s) => s.lines);
  return (
    <div class="unseen" role="log" aria-live="polite" aria-relevant="additions" aria-label="Announcements">
      {lines.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
};
