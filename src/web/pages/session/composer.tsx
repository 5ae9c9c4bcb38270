import { useEffect, useRef, useState } from 'preact/hooks';
import { toOptaError } from '../../../protocol/errors.ts';
import { type Mode, ModeSchema, type OnBusy, OnBusySchema } from '../../../protocol/turn.ts';
import { Button } from '../../parts/button.tsx';
import { useDeskPart, useTheDesk } from './use-desk.ts';

/** What is written and not sent, of each session, for as long as the tab is open; also while it is at the connect screen. */
const drafts = new Map<string, string>();

const MODES: { readonly [M in Mode]: string } = {
  chat: 'tools ask before they change anything',
  do: 'a task to be done: tools that are safe do not ask',
  plan: 'reads and thinks, and changes nothing',
  review: 'reads critically, and changes nothing',
  research: 'gathers and compares, and changes nothing',
};

const BUSY: { readonly [B in OnBusy]: string } = {
  enqueue: 'waits until the turns before it are done',
  steer: 'goes into the running turn at its next step',
  interrupt: 'ends the running turn and starts',
  rollback: 'ends the running turn, takes back what it did to files, and starts',
  reject: 'is refused while a turn runs',
};

export const Composer = () => {
  const desk = useTheDesk();
  const { sessionId } = desk.link;
  const running = useDeskPart(({ view }) => view.active?.turnId ?? null);
  const isCancelling = useDeskPart(({ view }) => view.state.active?.cancelling === true);
  const isBusy = useDeskPart(({ view }) => view.active !== null || view.state.queue.length > 0);
  const ownBusy = useDeskPart(({ view }) => view.state.onBusy ?? 'enqueue');
  const deletedAt = useDeskPart(({ view }) => view.state.deletedAt);
  const isOpen = useDeskPart(({ view }) => view.connection === 'open');
  const [isEmpty, setEmpty] = useState(() => (drafts.get(sessionId) ?? '').trim() === '');
  const [sending, setSending] = useState(0);
  const [mode, setMode] = useState<Mode>('chat');
  const [onBusy, setOnBusy] = useState<OnBusy | ''>('');
  const field = useRef<HTMLTextAreaElement>(null);

  const write = (text: string): void => {
    drafts.set(sessionId, text);
    setEmpty(text.trim() === '');
    if (field.current && field.current.value !== text) field.current.value = text;
    fit(field.current);
  };
  useEffect(() => fit(field.current), []);
  const send = async (): Promise<void> => {
    const content = field.current?.value ?? '';
    if (content.trim() === '') return;
    write('');
    setSending((n) => n + 1);
    try {
      await desk.link.submit({ content, mode, ...(onBusy === '' ? {} : { onBusy }) });
    } catch (cause) {
      desk.say(toOptaError(cause).message, 'bad');
      // Nothing that was written is lost, and nothing that is being written is overwritten.
      if ((drafts.get(sessionId) ?? '') === '') write(content);
      else write(`${content}\n\n${drafts.get(sessionId)}`);
    } finally {
      setSending((n) => n - 1);
    }
  };
  if (deletedAt !== undefined)
    return <p class="composer composer-off">This session is deleted. It can be read, and restored.</p>;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        ref={field}
        class="composer-field"
        rows={1}
        aria-label="Message"
        aria-describedby="composer-keys"
        placeholder={isBusy ? `A message; it ${BUSY[onBusy || ownBusy]}` : 'A message'}
        defaultValue={drafts.get(sessionId) ?? ''}
        onInput={(event) => write(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          void send();
        }}
      />
      <div class="composer-foot">
        <label class="composer-choice">
          <span class="unseen">Mode</span>
          <select value={mode} title={MODES[mode]} onChange={(event) => setMode(event.currentTarget.value as Mode)}>
            {ModeSchema.options.map((one) => (
              <option key={one} value={one} title={MODES[one]}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <label class="composer-choice">
          <span class="unseen">While a turn runs</span>
          <select
            value={onBusy}
            title={`While a turn runs, a message ${BUSY[onBusy || ownBusy]}`}
            onChange={(event) => setOnBusy(event.currentTarget.value as OnBusy | '')}
          >
            <option value="">if busy: {ownBusy}</option>
            {OnBusySchema.options.map((one) => (
              <option key={one} value={one} title={BUSY[one]}>
                {one}: {BUSY[one]}
              </option>
            ))}
          </select>
        </label>
        <span class="hint composer-hint" id="composer-keys">
          {sending > 0 && !isOpen
            ? 'Sent as soon as the daemon is back'
            : sending > 0
              ? 'Sending …'
              : 'Enter sends, Shift+Enter breaks the line'}
        </span>
        {running !== null && (
          <Button
            kind="danger"
            icon="stop"
            disabled={isCancelling}
            aria-keyshortcuts="Escape"
            title="Ends the running turn (Esc)"
            onClick={() => void desk.cancel({ turnId: running })}
          >
            <span class="button-text">{isCancelling ? 'Stopping …' : 'Stop'}</span>
          </Button>
        )}
        <Button kind="primary" type="submit" icon="send" disabled={isEmpty}>
          <span class="button-text">Send</span>
        </Button>
      </div>
    </form>
  );
};

const LINES_MAX = 14;
/** As many lines as are written; browsers that size fields by themselves do better. */
const fit = (field: HTMLTextAreaElement | null): void => {
  if (field) field.rows = Math.min(LINES_MAX, field.value.split('\n').length);
};
