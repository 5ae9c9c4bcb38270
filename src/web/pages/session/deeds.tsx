import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import { toOptaError } from '../../../protocol/errors.ts';
import { client, watched } from '../../daemon.ts';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { ErrorBox } from '../../parts/states.tsx';
import { toast } from '../../parts/toasts.tsx';
import { go } from '../../router.ts';
import { type Action, useActions } from '../../shell/actions.ts';
import { useDeskPart, useTheDesk } from './use-desk.ts';

type Deed = 'rename' | 'fork' | 'delete';

/** What can be done with the session as a whole, for its buttons; the palette offers the same. `dialog`: what one of them asks. */
export const useDeeds = (): { actions: readonly Action[]; dialog: ComponentChildren } => {
  const { sessionId } = useTheDesk().link;
  const title = useDeskPart(({ view }) => view.state.title ?? '');
  const isDeleted = useDeskPart(({ view }) => view.state.deletedAt !== undefined);
  const [deed, setDeed] = useState<Deed | null>(null);
  const restore = (): void =>
    void tried(async () => void (await client.call('sessions.undelete', { params: { id: sessionId } })));
  const save = (format: keyof typeof FORMATS): void => void tried(() => exported(sessionId, title, format));
  const actions: Action[] = isDeleted
    ? [{ id: 'restore', name: 'Restore this session', icon: 'check', run: restore }]
    : [
        { id: 'rename', name: 'Rename', icon: 'pencil', run: () => setDeed('rename') },
        { id: 'fork', name: 'Fork', icon: 'fork', run: () => setDeed('fork') },
        { id: 'delete', name: 'Delete', icon: 'bin', run: () => setDeed('delete') },
      ];
  const exports: Action[] = [
    { id: 'markdown', name: 'Export as Markdown', icon: 'save', run: () => save('markdown') },
    { id: 'json', name: 'Export as JSON', icon: 'save', run: () => save('json') },
    { id: 'jsonl', name: 'Export the event log', icon: 'save', run: () => save('jsonl') },
  ];
  const all = [...actions, ...exports];
  useActions(all, [sessionId, title, isDeleted]);
  return { actions: all, dialog: deed && <DeedDialog deed={deed} title={title} onClose={() => setDeed(null)} /> };
};

const FORMATS = {
  markdown: ['md', 'text/markdown'],
  json: ['json', 'application/json'],
  jsonl: ['jsonl', 'application/jsonl'],
} as const;

const EXPORT_DEADLINE_MS = 300_000;

/** The daemon writes the file piece by piece; the browser keeps it. */
const exported = async (sessionId: string, title: string, format: keyof typeof FORMATS): Promise<void> => {
  const [ending, type] = FORMATS[format];
  const parts: string[] = [];
  const input = { params: { id: sessionId }, query: { format }, deadlineMs: EXPORT_DEADLINE_MS };
  for await (const part of client.stream('sessions.export', input)) parts.push(part);
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${fileName(title || sessionId)}.${ending}`;
  link.click();
  // The browser has taken hold of it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  toast(`Saved ${link.download}`, 'good');
};

const fileName = (text: string): string =>
  oneLine(text, 80)
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/^[-.]+|-+$/g, '') || 'session';

const tried = async (deed: () => Promise<void>): Promise<void> => {
  try {
    await watched(deed());
  } catch (cause) {
    toast(toOptaError(cause).message, 'bad');
  }
};

const WORDS = {
  rename: ['Rename the session', 'Rename'],
  fork: ['Fork the session', 'Fork'],
  delete: ['Delete the session?', 'Delete'],
} as const;

const DeedDialog = ({ deed, title, onClose }: { deed: Deed; title: string; onClose: () => void }) => {
  const { sessionId } = useTheDesk().link;
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const [heading, word] = WORDS[deed];
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    const said = String(new FormData(event.currentTarget as HTMLFormElement).get('title') ?? '').trim();
    setBusy(true);
    setError(null);
    try {
      await watched(done(deed, sessionId, said));
      onClose();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <Dialog title={heading} onClose={onClose}>
      <form class="form" onSubmit={(event) => void run(event)}>
        {deed === 'delete' ? (
          <p>Its turns are cancelled, and it is put away. Its log stays on the disk, and it can be restored.</p>
        ) : (
          <label class="field">
            <span class="label">Title</span>
            <input
              name="title"
              maxLength={500}
              autoComplete="off"
              defaultValue={deed === 'fork' ? `${title || sessionId} (fork)` : title}
            />
          </label>
        )}
        {deed === 'fork' && <p class="hint">A new session with this conversation as it is now; the two go on apart.</p>}
        {error !== null && <ErrorBox error={error} />}
        <div class="form-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind={deed === 'delete' ? 'danger' : 'primary'} disabled={isBusy}>
            {word}
          </Button>
        </div>
      </form>
    </Dialog>
  );
};

const done = async (deed: Deed, sessionId: string, title: string): Promise<void> => {
  const params = { id: sessionId };
  if (deed === 'rename') {
    await client.call('sessions.patch', { params, body: { title: title === '' ? null : title } });
  } else if (deed === 'fork') {
    const fork = await client.call('sessions.fork', { params, body: title === '' ? {} : { title } });
    go({ page: 'session', sessionId: fork.sessionId });
  } else {
    await client.call('sessions.delete', { params });
    go({ page: 'dashboard' });
    toast('The session is deleted. Its page can restore it.', 'good');
  }
};
