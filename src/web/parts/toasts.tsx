import { createStore } from '@xstate/store';
import { useEffect } from 'preact/hooks';
import { useStore } from '../use-store.ts';
import { Button } from './button.tsx';

export interface Toast {
  id: number;
  tone: 'note' | 'good' | 'bad';
  text: string;
}

const SHOWN_MAX = 4;
const SHOWN_MS = { note: 6_000, good: 6_000, bad: 20_000 };

export const toasts = createStore({
  context: { last: 0, shown: [] as readonly Toast[] },
  on: {
    said: ({ last, shown }, { text, tone }: Omit<Toast, 'id'>) => ({
      last: last + 1,
      // One note at a time: the next says what has become of the last. A failure stays, unless it is the same again.
      shown: [
        ...shown.filter((t) => (tone === 'note' ? t.tone !== 'note' : t.text !== text)),
        { id: last + 1, text, tone },
      ].slice(-SHOWN_MAX),
    }),
    cleared: (context) => ({ ...context, shown: [] }),
    gone: (context, { id }: { id: number }) => ({ ...context, shown: context.shown.filter((t) => t.id !== id) }),
  },
});

/** A short word at the edge of the page. Takes no focus; goes by itself. */
export const toast = (text: string, tone: Toast['tone'] = 'note'): void => void toasts.trigger.said({ text, tone });

/** Once in the page. */
export const Toasts = () => {
  const shown = useStore(toasts, (t) => t.shown);
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label="Notices">
      {shown.map((one) => (
        <One key={one.id} {...one} />
      ))}
    </div>
  );
};

const WORDS = { note: '', good: 'Done: ', bad: 'Failed: ' };

const One = ({ id, tone, text }: Toast) => {
  const close = (): void => void toasts.trigger.gone({ id });
  useEffect(() => {
    const timer = setTimeout(close, SHOWN_MS[tone]);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class={`toast toast-${tone}`}>
      <span class="unseen">{WORDS[tone]}</span>
      <span class="toast-text">{text}</span>
      <Button kind="quiet" small icon="close" aria-label="Dismiss" onClick={close} />
    </div>
  );
};
