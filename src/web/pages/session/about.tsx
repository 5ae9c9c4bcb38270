import { useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import { client, watched } from '../../daemon.ts';
import { Button } from '../../parts/button.tsx';
import { failed } from '../../parts/failed.ts';
import { useFirst } from '../../parts/first.ts';
import { ErrorBox } from '../../parts/states.tsx';
import { Ago } from '../../parts/time.tsx';
import { WhyBlock } from '../../parts/why.tsx';
import { hashOf } from '../../router.ts';
import type { Action } from '../../shell/actions.ts';
import { useStore } from '../../use-store.ts';
import { useWhy } from '../../use-why.ts';
import { me, rename } from './me.ts';
import { Avatar, nameOf, roleText } from './top.tsx';
import { useDeskPart, useTheDesk } from './use-desk.ts';

/** What is known of the session beside its conversation, and what can be done with it. */
export const About = ({ actions }: { actions: readonly Action[] }) => (
  <div class="about-parts">
    <WhyPart />
    <People />
    <Remembered />
    <Facts />
    <Deeds actions={actions} />
  </div>
);

const Deeds = ({ actions }: { actions: readonly Action[] }) => (
  <section class="about-part">
    <h2 class="label">Do</h2>
    <div class="deeds">
      {actions.map(({ id, name, icon, run }) => (
        <Button key={id} small icon={icon} kind={id === 'delete' ? 'danger' : 'plain'} onClick={run}>
          {name}
        </Button>
      ))}
    </div>
  </section>
);

const WhyPart = () => {
  const { sessionId } = useTheDesk().link;
  // Another number whenever the session has moved; tokens do not move it.
  const moved = useDeskPart(({ view: { active, state }, cards }) => {
    const written = ['text', 'thinking'].indexOf(active?.open?.kind ?? '');
    return ((active?.items.length ?? -1) * 100 + state.queue.length) * 100 + cards.length * 4 + written;
  });
  const { why, error } = useWhy(sessionId, moved);
  return (
    <section class="about-part">
      <h2 class="label">What it waits for</h2>
      {why ? <WhyBlock why={why} /> : error && <ErrorBox error={error} title="Not known" />}
      <a class="about-link" href={hashOf({ page: 'inspect', sessionId })}>
        Its statecharts
      </a>
    </section>
  );
};

const People = () => {
  const present = useDeskPart(({ view }) => view.presence);
  const name = useStore(me, (m) => m.name);
  const [editing, setEditing] = useState(false);
  const field = useFirst<HTMLInputElement>(editing);
  return (
    <section class="about-part">
      <h2 class="label">Here now</h2>
      <ul class="people">
        {present.map((one) => (
          <li key={one.attachmentId}>
            <Avatar name={nameOf(one)} role={one.role} />
            <span>{nameOf(one)}</span>
            <span class="hint">
              {roleText(one.role)}
              {one.clientId && one.clientId !== one.writerId ? ` · ${oneLine(one.clientId, 30)}` : ''}
            </span>
          </li>
        ))}
      </ul>
      {editing ? (
        <form
          class="inline-form"
          onSubmit={(event) => {
            event.preventDefault();
            rename(String(new FormData(event.currentTarget).get('name') ?? ''));
            setEditing(false);
          }}
        >
          <input ref={field} name="name" aria-label="Your name" defaultValue={name} maxLength={60} autoComplete="off" />
          <Button small type="submit">
            Save
          </Button>
        </form>
      ) : (
        <p class="hint">
          You write as {name}.{' '}
          <Button small kind="quiet" onClick={() => setEditing(true)}>
            Change
          </Button>
        </p>
      )}
    </section>
  );
};

const Remembered = () => {
  const { sessionId } = useTheDesk().link;
  const all = useDeskPart(({ view }) => view.state.remembered);
  if (!all || all.length === 0) return null;
  const forget = async (tool: string): Promise<void> => {
    try {
      await watched(client.call('sessions.patch', { params: { id: sessionId }, body: { forget: [tool] } }));
    } catch (cause) {
      failed(cause);
    }
  };
  return (
    <section class="about-part">
      <h2 class="label">Allowed without asking</h2>
      <ul class="people">
        {all.map(({ tool, decidedBy }) => (
          <li key={tool}>
            <code>{oneLine(tool, 60)}</code>
            <span class="hint">by {oneLine(decidedBy, 40)}</span>
            <Button
              small
              kind="quiet"
              onClick={() => void forget(tool)}
              aria-label={`Ask again about ${oneLine(tool, 60)}`}
            >
              Ask again
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
};

const Facts = () => {
  const { sessionId } = useTheDesk().link;
  const model = useDeskPart(({ view }) => view.state.model);
  const workspace = useDeskPart(({ view }) => view.state.workspace);
  const createdAt = useDeskPart(({ view }) => view.state.createdAt);
  const calls = useDeskPart(({ view }) => view.state.toolCallCount);
  const from = useDeskPart(({ view }) => view.state.forkedFrom?.sessionId);
  return (
    <section class="about-part">
      <h2 class="label">Session</h2>
      <dl class="about-facts">
        <dt>Model</dt>
        <dd>{oneLine(model, 80) || 'the default'}</dd>
        {workspace !== undefined && (
          <>
            <dt>Folder</dt>
            <dd>
              <code>{oneLine(workspace, 300)}</code>
            </dd>
          </>
        )}
        <dt>Made</dt>
        <dd>
          <Ago at={createdAt} />
        </dd>
        <dt>Tool calls</dt>
        <dd>{calls}</dd>
        {from !== undefined && (
          <>
            <dt>Fork of</dt>
            <dd>
              <a href={hashOf({ page: 'session', sessionId: from })}>{oneLine(from, 60)}</a>
            </dd>
          </>
        )}
        <dt>Id</dt>
        <dd>
          <code>{sessionId}</code>
        </dd>
      </dl>
    </section>
  );
};
