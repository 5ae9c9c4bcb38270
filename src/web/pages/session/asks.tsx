import { useRef, useState } from 'preact/hooks';
import { oneLine, printable } from '../../../client/printable.ts';
import type { View } from '../../../client/session-view.ts';
import { clockText } from '../../../views/ago.ts';
import { type Card, secondsLeft } from '../../../views/cards.ts';
import { isDiff } from '../../../views/diff.ts';
import type { Answer } from '../../../views/session-desk.ts';
import { Button } from '../../parts/button.tsx';
import { CodeBlock } from '../../parts/code.tsx';
import { DiffText } from '../../parts/diff.tsx';
import { useNow } from '../../parts/time.tsx';
import { ToolArgsView } from './tool-args.tsx';
import { useDeskPart, useTheDesk } from './use-desk.ts';

/** A click that was on its way when the card came up decides nothing. */
const TOO_SOON_MS = 350;
const SOON_S = 20;

/** The request that waits longest, above the composer. It takes no focus: whoever writes goes on writing. */
export const Cards = () => {
  const desk = useTheDesk();
  const card = useDeskPart((d) => d.card);
  const count = useDeskPart((d) => d.cards.length);
  const aside = useDeskPart((d) => d.aside.length);
  const decide = (answer: Answer): void => {
    if (!card || Date.now() - desk.desk.cardSinceMs < TOO_SOON_MS) return;
    void desk.decide(card, answer);
  };
  if (!card) {
    return aside === 0 ? null : (
      <p class="put-off">
        {aside === 1 ? 'A request waits.' : `${aside} requests wait.`}
        <Button small onClick={() => desk.bringBack()}>
          Show
        </Button>
      </p>
    );
  }
  return (
    <section
      class="ask"
      aria-label={card.question ? 'A question' : `Permission for ${oneLine(card.toolName, 60)}`}
      key={card.requestId}
    >
      <header class="ask-head">
        <h2 class="label">{card.question ? 'A question for you' : 'Permission'}</h2>
        {count > 1 && <p class="hint">1 of {count}</p>}
        <Left card={card} />
      </header>
      {card.question ? (
        <Question card={card} question={card.question} decide={decide} />
      ) : (
        <Permission card={card} decide={decide} />
      )}
    </section>
  );
};

const Left = ({ card }: { card: Card }) => {
  const left = secondsLeft(card, useNow(1_000));
  if (!Number.isFinite(left)) return null;
  return (
    <p class={`ask-left${left < SOON_S ? ' ask-soon' : ''}`} title="Nobody’s decision until then is a no">
      {left === 0 ? 'too late' : `${clockText(left * 1_000)} left`}
    </p>
  );
};

const Permission = ({ card, decide }: { card: Card; decide: (answer: Answer) => void }) => {
  const desk = useTheDesk();
  const tool = oneLine(card.toolName, 60);
  const preview = printable(card.preview);
  const args = useDeskPart(({ view }) => argsOf(view, card.callId));
  return (
    <>
      <p class="ask-what">
        <code>{tool}</code> {oneLine(card.summary, 500)}
      </p>
      {preview === '' ? (
        <ToolArgsView args={args} />
      ) : isDiff(preview) ? (
        <DiffText text={preview} />
      ) : (
        <CodeBlock text={preview} lang={tool} label="what it would do" />
      )}
      <div class="ask-foot">
        <Button kind="primary" onClick={() => decide({ decision: 'allow' })}>
          Allow
        </Button>
        <Button
          title={`${tool} is not asked about again in this session`}
          onClick={() => decide({ decision: 'allow', remember: 'session' })}
        >
          Always in this session
        </Button>
        <Button
          title={`${/"command"/.test(args) ? 'this command' : tool} is not asked about again in this folder, in any session`}
          onClick={() => decide({ decision: 'allow', remember: 'workspace' })}
        >
          Always in this folder
        </Button>
        <Button kind="danger" onClick={() => decide({ decision: 'deny' })}>
          Deny
        </Button>
        <Button kind="quiet" onClick={() => desk.putOff()}>
          Later
        </Button>
      </div>
    </>
  );
};

/** What the call would be made with, when the daemon has made no preview of it. */
const argsOf = ({ active }: View, callId: string): string => {
  const call = active?.items.find((item) => item.kind === 'tool' && item.callId === callId);
  return call?.kind === 'tool' ? call.args : '';
};

const Question = ({
  question: { text, options },
  decide,
}: {
  card: Card;
  question: NonNullable<Card['question']>;
  decide: (answer: Answer) => void;
}) => {
  const desk = useTheDesk();
  const field = useRef<HTMLTextAreaElement>(null);
  const [isEmpty, setEmpty] = useState(true);
  const send = (event: Event): void => {
    event.preventDefault();
    const answer = field.current?.value.trim() ?? '';
    if (answer !== '') decide({ decision: 'allow', answer });
  };
  return (
    <>
      <p class="ask-question">{printable(text)}</p>
      {options.length > 0 && (
        <div class="ask-options">
          {options.map((option) => (
            <Button key={option} onClick={() => decide({ decision: 'allow', answer: option })}>
              {oneLine(option, 200)}
            </Button>
          ))}
        </div>
      )}
      <form class="ask-answer" onSubmit={send}>
        <textarea
          ref={field}
          rows={1}
          aria-label="Your answer"
          placeholder={options.length > 0 ? 'Or in your own words' : 'Your answer'}
          maxLength={8_000}
          onInput={(event) => setEmpty(event.currentTarget.value.trim() === '')}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
          }}
        />
        <Button kind="primary" type="submit" disabled={isEmpty}>
          Answer
        </Button>
        <Button kind="danger" onClick={() => decide({ decision: 'deny' })}>
          Refuse
        </Button>
        <Button kind="quiet" onClick={() => desk.putOff()}>
          Later
        </Button>
      </form>
    </>
  );
};
