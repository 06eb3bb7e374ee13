const ws = new WebSocket('ws://host:8765');   // after open:
ws.onopen = () => {
  ws.send(JSON.stringify({type: 'audio', audio_data: base64AudioData, mode: 'transcribe', prompt: 'Optional prompt text'}));
};
ws.onmessage = (event) => console.log(JSON.parse(event.data).text);   // the first message is the answer
