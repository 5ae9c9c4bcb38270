/** What F1 shows. */
export const HELP: readonly string[] = [
  'Enter           send',
  'Alt+Enter       a new line',
  'Up, Down        the line above or below, then what you said before',
  'PgUp, PgDn      scroll the conversation; Shift+Up, Shift+Down by three lines',
  'Ctrl+C          cancel your turn; when you have none, leave',
  'Esc             close what is open; else cancel your turn',
  'Ctrl+O          sessions',
  'Ctrl+L          draw the screen anew',
  'Ctrl+D          leave, when nothing is written',
  'F1, Ctrl+/      this page',
  '',
  'When a call asks: y allows, n denies, Esc puts it off, Tab brings it back. Others may decide first; then it says who.',
  '',
  '/help lists commands. !command runs a line in your shell. @path attaches a file.',
];
