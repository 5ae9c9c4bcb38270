import { useState } from 'preact/hooks';
import { oneLine } from '../../../client/printable.ts';
import type { QueuedTurn } from '../../../protocol/session-state.ts';
import { client, watched } from '../../daemon.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { failed } from '../../parts/failed.ts';
import { useFirst } from '../../parts/first.ts';
import { Icon } from '../../parts/icon.tsx';
import { useMedia } from '../../parts/media.ts';
import { useStore } from '../../use-store.ts';
import { me } from './me.ts';
import { Avatar } from './top.tsx';
import { useDeskPart, useTheDesk } from './use-desk.ts';

/** Where a card and the queue do not both fit. */
const NARROW = '(max-width: 700px), (max-height: 500px)';

/** What waits, in the order in which it will run. One's own can be changed and taken back. */
export const Queue = () => {
  const queue = useDeskPart(({ view }) => view.state.queue);
  const mine = useStore(me, (m) => m.name);
  const isAsked = useDeskPart(({ card }) => card !== null);
  const isNarrow = useMedia(NARROW);
  const [editing, setEditing] = useState<string | null>(null);
  /** What a person has chosen, over what the room allows. */
  const [chosen, setChosen] = useState<boolean | null>(null);
  const next = queue[0];
  if (!next) return null;
  const isOpen = chosen ?? !(isNarrow && isAsked);
  return (
    <section class="line" aria-label="Waiting messages">
      <h2 class="line-head">
        <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setChosen(!isOpen)}>
          <Icon name={isOpen ? 'down' : 'right'} />
          <span class="label">Waiting · {queue.length}</span>
          {!isOpen && <span class="hint line-text">{oneLine(next.content, 120)}</span>}
        </button>
      </h2>
      <ol hidden={!isOpen}>
        {queue.map((turn, i) => (
          <li key={turn.turnId}>
            <span class="line-place">{i + 1}</span>
            <Avatar name={turn.writerId} />
            <span class="unseen">{oneLine(turn.writerId, 40)}:</span>
            {editing === turn.turnId ? (
              <Edit turn={turn} onDone={() => setEditing(null)} />
            ) : (
              <Waiting turn={turn} isMine={turn.writerId === mine} onEdit={() => setEditing(turn.turnId)} />
            )}
          </li>
        ))}
      </ol>
    </section>
  );
};

const Waiting = ({ turn, isMine, onEdit }: { turn: QueuedTurn; isMine: boolean; onEdit: () => void }) => {
  const { sessionId } = useTheDesk().link;
  const withdraw = async (): Promise<void> => {
    const { turnId, writerId } = turn;
    try {
      await watched(
        client.call('queue.withdraw', { params: { id: sessionId, turnId }, query: { writerId: writerId as never } }),
      );
    } catch (cause) {
      failed(cause);
    }
  };
  return (
    <>
      <span class="line-text" title={oneLine(turn.content, 1_000)}>
        {oneLine(turn.content, 300)}
      </span>
      {turn.steers !== undefined && <Badge tone="info">steers</Badge>}
      {turn.mode !== 'chat' && <Badge>{turn.mode}</Badge>}
      {isMine && (
        <>
          <Button small kind="quiet" icon="pencil" aria-label="Change this message" onClick={onEdit} />
          <Button small kind="quiet" icon="close" aria-label="Take this message back" onClick={() => void withdraw()} />
        </>
      )}
    </>
  );
};

const Edit = ({ turn, onDone }: { turn: QueuedTurn; onDone: () => void }) => {
  const { sessionId } = useTheDesk().link;
  const field = useFirst<HTMLTextAreaElement>();
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const content = field.current?.value.trim() ?? '';
    const { turnId, writerId } = turn;
    if (content === '') return;
    try {
      await watched(client.call('queue.edit', { params: { id: sessionId, turnId }, body: { writerId, content } }));
      onDone();
    } catch (cause) {
      failed(cause);
    }
  };
  return (
    <form class="line-edit" onSubmit={(event) => void save(event)}>
      <textarea
        ref={field}
        rows={2}
        aria-label="The message"
        defaultValue={turn.content}
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.preventDefault();
            onDone();
          } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) void save(event);
        }}
      />
      <Button small kind="primary" type="submit">
        Save
      </Button>
      <Button small onClick={onDone}>
        Leave it
      </Button>
    </form>
  );
};
