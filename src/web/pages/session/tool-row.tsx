import { oneLine, printable } from '../../../client/printable.ts';
import type { PermissionItem, ToolItem } from '../../../client/turn-view.ts';
import { isDiff } from '../../../views/diff.ts';
import type { Row } from '../../../views/rows.ts';
import { durationText, toolHead } from '../../../views/tool-card.ts';
import type { Tone } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { CodeBlock } from '../../parts/code.tsx';
import { DiffText } from '../../parts/diff.tsx';
import { Icon } from '../../parts/icon.tsx';
import { useNow } from '../../parts/time.tsx';
import { ToolArgsView } from './tool-args.tsx';
import { useTheDesk } from './use-desk.ts';

const LOOKS: { readonly [S in ToolItem['state']]: readonly [sign: string, tone: Tone] } = {
  waiting: ['○', 'plain'],
  asked: ['?', 'warn'],
  running: ['◐', 'info'],
  done: ['✓', 'good'],
  failed: ['✗', 'bad'],
  refused: ['⊘', 'bad'],
  cancelled: ['⊘', 'warn'],
  'not-run': ['–', 'plain'],
};

const NAME_CHARS_MAX = 200;

/** A tool call on one line; its arguments, what was decided and its result when it is opened. */
export const ToolRow = ({
  row,
  isOpen,
  mark,
}: {
  row: Extract<Row, { kind: 'tool' }>;
  isOpen: boolean;
  mark: string;
}) => {
  const desk = useTheDesk();
  const { tool, turnId } = row;
  const { about, state, took } = toolHead(tool);
  // There is room for more of it here than on a line of a terminal: it wraps.
  const name = oneLine(tool.name, NAME_CHARS_MAX);
  const [sign, tone] = LOOKS[tool.state];
  return (
    <div class={`tool tool-${tone}`}>
      <div class="tool-head">
        <button type="button" class="fold" aria-expanded={isOpen} onClick={() => desk.toggle(row.id, isOpen)}>
          <Icon name={isOpen ? 'down' : 'right'} />
          <span class="tool-name">{name}</span>
          <span class="tool-about">{about}</span>
          <span class={`tool-state tool-state-${tone}`}>
            <span class="tool-sign" aria-hidden="true">
              {sign}
            </span>
            {state}
          </span>
          <span class="tool-took">{tool.state === 'running' ? <Elapsed since={tool.startedAt ?? ''} /> : took}</span>
        </button>
        {tool.state === 'running' && turnId !== '' && (
          <Button
            small
            kind="quiet"
            icon="stop"
            aria-label={`Cancel ${name}`}
            onClick={() => void desk.cancel({ turnId, callId: tool.callId })}
          />
        )}
      </div>
      {isOpen && <Opened row={row} mark={mark} />}
    </div>
  );
};

const Elapsed = ({ since }: { since: string }) => {
  const ms = useNow(1_000) - Date.parse(since);
  return <>{Number.isFinite(ms) && ms >= 1_000 ? `${Math.floor(ms / 1_000)} s` : ''}</>;
};

const Opened = ({ row: { tool, permission }, mark }: { row: Extract<Row, { kind: 'tool' }>; mark: string }) => {
  const preview = printable(permission?.preview ?? '');
  const result = printable(tool.result ?? '');
  const said = [decidedText(permission), tool.cancelledBy && `cancelled by ${oneLine(tool.cancelledBy, 60)}`];
  return (
    <div class="tool-body">
      {said.filter(Boolean).map((text) => (
        <p key={text} class="hint">
          {text}
        </p>
      ))}
      {preview !== '' && isDiff(preview) ? <DiffText text={preview} /> : <ToolArgsView args={tool.args} mark={mark} />}
      {result !== '' &&
        (isDiff(result) ? (
          <DiffText text={result} />
        ) : (
          <CodeBlock text={result} lang="result" label="the result" mark={mark} />
        ))}
      {tool.truncatedFrom !== undefined && (
        <p class="hint">The result had {tool.truncatedFrom.toLocaleString()} characters; the middle is left out.</p>
      )}
      {tool.elapsedMs !== undefined && <p class="unseen">It took {durationText(tool.elapsedMs)}.</p>}
    </div>
  );
};

/** Who decided, by which right. */
const decidedText = (permission: PermissionItem | null): string => {
  if (permission?.decision === undefined) return '';
  const { decision, decidedBy = '', reason, remember, answer } = permission;
  if (answer !== undefined) return `answered by ${oneLine(decidedBy, 60)}: ${oneLine(answer, 300)}`;
  const done = decision === 'allow' ? 'allowed' : 'denied';
  const where = remember === 'workspace' ? 'from now on in this folder' : 'for the rest of this session';
  const always = remember === undefined ? '' : `, ${where}`;
  return `${done} by ${oneLine(decidedBy, 60)}${always}${reason === 'person' ? '' : ` (${reason})`}`;
};
