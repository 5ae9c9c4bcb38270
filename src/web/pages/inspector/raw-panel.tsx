import { useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import { access } from '../../daemon.ts';
import { Button } from '../../parts/button.tsx';
import { CopyButton } from '../../parts/copy.tsx';
import { Panel } from '../../parts/panel.tsx';
import { useStore } from '../../use-store.ts';
import type { LiveActors } from './live-actors.ts';

const SHOWN = 30;

/** The messages as they came, for other tools: to copy, to save, or to attach to. */
export const RawPanel = ({ live, count, sessionId }: { live: LiveActors; count: number; sessionId: string | null }) => {
  const [open, setOpen] = useState(false);
  const port = useStore(access, (a) => (a.state === 'ready' ? a.way.port : 0));
  const where = `/v3/inspect/stream${sessionId === null ? '' : `?sessionId=${encodeURIComponent(sessionId)}`}`;
  const command = `curl -N -H "Authorization: Bearer $OPTA_TOKEN" http://127.0.0.1:${port}${where}`;
  const save = (): void => {
    const url = URL.createObjectURL(new Blob([live.raw.join('\n'), '\n'], { type: 'application/x-ndjson' }));
    const link = document.createElement('a');
    link.href = url;
    link.download = `opta-inspect-${sessionId ?? 'daemon'}.jsonl`;
    link.click();
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return (
    <Panel
      title={`Feed · ${count} ${count === 1 ? 'message' : 'messages'}`}
      class="raw"
      actions={
        <>
          <Button small kind="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? 'Hide' : 'Show'}
          </Button>
          <Button small kind="quiet" icon="save" onClick={save}>
            Save
          </Button>
        </>
      }
    >
      {open && (
        <>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
          {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form */}
          <div class="raw-lines" tabIndex={0} role="group" aria-label={`The last ${SHOWN} messages, newest first`}>
            {live.raw
              .slice(-SHOWN)
              .reverse()
              .map((text, i) => (
                <code key={`${count - i}`}>{oneLine(text, 400)}</code>
              ))}
          </div>
          <p class="raw-foot">
            <span class="soft">The last {live.raw.length} as JSON, one a line</span>
            <CopyButton text={live.raw.join('\n')} label="Copy the messages" />
          </p>
          <h3 class="label">Attach another tool</h3>
          <p class="soft">
            Each message is an event of <code>@statelyai/inspect</code> 0.7 (<code>@xstate.actor</code>,{' '}
            <code>@xstate.event</code>, <code>@xstate.snapshot</code>). The daemon sends them as server-sent events,
            first all actors that live, then what happens to them. The token is in the daemon’s folder;{' '}
            <code>opta daemon status</code> says where.
          </p>
          <p class="raw-command">
            <code>{command}</code>
            <CopyButton text={command} label="Copy the command" />
          </p>
        </>
      )}
    </Panel>
  );
};
