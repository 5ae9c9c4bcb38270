export const ConnectPage = () => <main id="main">connect</main>;
