import { useRef, useState } from 'preact/hooks';
import { toOptaError } from '../../protocol/errors.ts';
import { access, canGoBack, goBack, letIn } from '../daemon.ts';
import { findDaemons, isLoopback } from '../find-daemon.ts';
import { announce } from '../parts/announcer.tsx';
import { Button } from '../parts/button.tsx';
import { CopyButton } from '../parts/copy.tsx';
import { Page } from '../shell/page.tsx';
import { useStore } from '../use-store.ts';
import '../styles/connect.css';

const COMMAND = 'opta web';

/** How a tab gets its right: a ticket or a token, and where the daemon is. What is typed here is kept by nothing but this tab. */
export const ConnectPage = () => {
  const asked = useStore(access, (a) => a);
  const known = asked.state === 'asking' ? asked : { why: '', host: '127.0.0.1', port: 9999 };
  const [host, setHost] = useState(known.host);
  const [port, setPort] = useState(String(known.port));
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  const secret = useRef<HTMLInputElement>(null);

  const enter = async (event: Event): Promise<void> => {
    event.preventDefault();
    const word = secret.current?.value.trim() ?? '';
    const wrong = wrongOf(host, port, word);
    setFailure(wrong);
    if (wrong !== '' || busy) return;
    setBusy(true);
    try {
      await letIn({ host: host.trim(), port: Number(port), ...saidAs(word) });
    } catch (cause) {
      setFailure(toOptaError(cause).message);
      setBusy(false);
      secret.current?.select();
    }
  };
  return (
    <Page title="Connect to a daemon" tab="Connect" class="connect">
      <div class="connect-card">
        <span class="ring connect-ring" aria-hidden="true" />
        {known.why !== '' && (
          <p class="connect-why" role="status">
            {known.why}
          </p>
        )}
        <p class="connect-how">
          Opta runs on your own machine, as a daemon. This page shows it, once the daemon has let it in. In a terminal
          on this machine, type
        </p>
        <p class="connect-command">
          <code>{COMMAND}</code>
          <CopyButton text={COMMAND} label="Copy the command" />
        </p>
        <p class="hint">
          It starts the daemon if none runs, and opens this page with a ticket that works once.{' '}
          <code>opta web --print</code> shows the ticket instead: paste it here, or the whole address.
        </p>
        <form class="form" onSubmit={(event) => void enter(event)}>
          <label class="field">
            <span class="label">Ticket or token</span>
            <input
              ref={secret}
              type="password"
              name="opta-secret"
              autoComplete="off"
              spellcheck={false}
              {...(failure === '' ? {} : { 'aria-invalid': true, 'aria-describedby': 'connect-failure' })}
            />
          </label>
          <div class="connect-where">
            <label class="field">
              <span class="label">Host</span>
              <input
                value={host}
                autoComplete="off"
                spellcheck={false}
                aria-describedby="connect-host"
                onInput={(event) => setHost(event.currentTarget.value)}
              />
            </label>
            <label class="field">
              <span class="label">Port</span>
              <input
                value={port}
                inputMode="numeric"
                autoComplete="off"
                onInput={(event) => setPort(event.currentTarget.value)}
              />
            </label>
          </div>
          <p class="hint" id="connect-host">
            This machine alone: what is sent is not encrypted, so it must not leave it. To reach another machine,
            forward its port over SSH.
          </p>
          <Finder host={host} onFound={(found) => setPort(String(found))} />
          {failure !== '' && (
            <p class="connect-failure" id="connect-failure" role="alert">
              {failure}
            </p>
          )}
          <div class="form-foot">
            {canGoBack() && <Button onClick={goBack}>Try the last one again</Button>}
            <Button kind="primary" type="submit" disabled={busy}>
              {busy ? 'Connecting …' : 'Connect'}
            </Button>
          </div>
        </form>
      </div>
    </Page>
  );
};

/** Looks for daemons when it is pressed, and at no other time. */
const Finder = ({ host, onFound }: { host: string; onFound: (port: number) => void }) => {
  const [looking, setLooking] = useState(false);
  const [found, setFound] = useState<readonly number[] | null>(null);
  const look = async (): Promise<void> => {
    setLooking(true);
    const ports = await findDaemons(host.trim());
    setLooking(false);
    setFound(ports);
    const [first] = ports;
    if (first !== undefined) onFound(first);
    announce(ports.length === 0 ? 'No daemon answers' : `A daemon answers on port ${ports.join(' and ')}`);
  };
  return (
    <div class="connect-find">
      <Button small icon="search" disabled={looking || !isLoopback(host)} onClick={() => void look()}>
        {looking ? 'Looking …' : 'Find it'}
      </Button>
      <p class="hint">
        {found === null && 'Tries the ports 9999 and 10000 to 10020.'}
        {found?.length === 0 && 'None answers there. `opta daemon start` starts one.'}
        {found !== null && found.length > 0 && 'Found: '}
        {found?.map((port) => (
          <Button key={port} small kind="quiet" onClick={() => onFound(port)}>
            {port}
          </Button>
        ))}
      </p>
    </div>
  );
};

const wrongOf = (host: string, port: string, word: string): string => {
  if (!isLoopback(host)) return 'The host has to be this machine: 127.0.0.1, ::1 or localhost.';
  if (!/^\d{1,5}$/.test(port.trim()) || Number(port) < 1 || Number(port) > 65_535)
    return 'A port is a number from 1 to 65535.';
  return word === '' ? 'Type `opta web --print` in a terminal, and paste here what it shows.' : '';
};

/** What a person pastes may be the whole address that `opta web --print` shows, a ticket, or a token. */
const saidAs = (word: string): { ticket: string } | { word: string } => {
  const inAddress = /[#&?]ticket=([^&\s]+)/.exec(word)?.[1];
  return inAddress === undefined ? { word } : { ticket: decodeURIComponent(inAddress) };
};
