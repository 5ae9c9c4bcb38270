export const SessionPage = ({ sessionId }: { sessionId: string }) => <main id="main">session {sessionId}</main>;
