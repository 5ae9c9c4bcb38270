import { useRef, useState } from 'preact/hooks';
import { client, watched } from '../daemon.ts';
import { Button } from '../parts/button.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { ErrorBox } from '../parts/states.tsx';
import { go } from '../router.ts';
import { shell } from './actions.ts';

/** Asks for the little that a session needs, and goes there. */
export const NewSession = () => {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const close = (): void => void shell.trigger.closed();
  const create = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || !form.current) return;
    const said = new FormData(form.current);
    const field = (name: string): string => String(said.get(name) ?? '').trim();
    const [title, workspace, model] = [field('title'), field('workspace'), field('model')];
    setBusy(true);
    setError(null);
    try {
      const { sessionId } = await watched(
        client.createSession({
          ...(title === '' ? {} : { title }),
          ...(model === '' ? {} : { model }),
          ...(workspace === '' ? {} : { metadata: { workspace } }),
        }),
      );
      close();
      go({ page: 'session', sessionId });
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <Dialog title="New session" onClose={close}>
      <form ref={form} class="form" onSubmit={(event) => void create(event)}>
        <label class="field">
          <span class="label">Title</span>
          <input name="title" maxLength={500} autoComplete="off" placeholder="What it is about" />
        </label>
        <label class="field">
          <span class="label">Folder</span>
          <input
            name="workspace"
            maxLength={4096}
            autoComplete="off"
            spellcheck={false}
            placeholder="/path/of/a/project"
          />
          <span class="hint">The folder that its tools may touch. Without one it is the daemon’s.</span>
        </label>
        <label class="field">
          <span class="label">Model</span>
          <input name="model" maxLength={256} autoComplete="off" spellcheck={false} placeholder="The default" />
        </label>
        {error !== null && <ErrorBox title="The session was not made" error={error} />}
        <div class="form-foot">
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={busy}>
            {busy ? 'Creating …' : 'Create'}
          </Button>
        </div>
      </form>
    </Dialog>
  );
};
