//! A plain X11 window filled through shared memory.

use std::error::Error;
use x11rb::connection::Connection;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::*;
use x11rb::rust_connection::RustConnection;

/// See the module text.
pub struct Window {
    connection: RustConnection,
    window: u32,
    gc: u32,
    segment: u32,
    memory: *mut u8,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

impl Window {
    /// Opens one, mapped and black.
    pub fn open(width: usize, height: usize) -> Result<Window, Box<dyn Error>> {
        let (connection, number) = x11rb::connect(None)?;
        let screen = &connection.setup().roots[number];
        let (window, gc) = (connection.generate_id()?, connection.generate_id()?);
        let attributes = CreateWindowAux::new().background_pixel(screen.black_pixel);
        connection.create_window(
            screen.root_depth,
            window,
            screen.root,
            0,
            0,
            width as u16,
            height as u16,
            0,
            WindowClass::INPUT_OUTPUT,
            screen.root_visual,
            &attributes,
        )?;
        connection.create_gc(gc, window, &CreateGCAux::new())?;
        connection.map_window(window)?;

        let length = width * height * 4;
        // SAFETY: a fresh segment of that length, attached once, never detached before the process ends.
        let memory = unsafe {
            let id = libc::shmget(libc::IPC_PRIVATE, length, 0o600 | libc::IPC_CREAT);
            let memory = libc::shmat(id, std::ptr::null(), 0);
            if id < 0 || memory as isize == -1 {
                return Err("no shared memory".into());
            }
            (id, memory as *mut u8)
        };
        let segment = connection.generate_id()?;
        let attached = connection.shm_attach(segment, memory.0 as u32, false)?.check();
        // SAFETY: marks the segment for removal once nobody is attached.
        unsafe { libc::shmctl(memory.0, libc::IPC_RMID, std::ptr::null_mut()) };
        attached?;
        let mut this = Window { connection, window, gc, segment, memory: memory.1, width, height };
        this.sync()?;
        this.pixels().fill(0);
        Ok(this)
    }

    /// BGRX, width * 4 bytes a row.
    pub fn pixels(&mut self) -> &mut [u8] {
        // SAFETY: the segment is that long and lent by `&mut self` alone; the server only reads it.
        unsafe { std::slice::from_raw_parts_mut(self.memory, self.width * self.height * 4) }
    }

    /// Puts the pixels on the screen and waits until they are there.
    pub fn put_shm(&mut self) -> Result<(), Box<dyn Error>> {
        let (w, h) = (self.width as u16, self.height as u16);
        self.connection.shm_put_image(
            self.window,
            self.gc,
            w,
            h,
            0,
            0,
            w,
            h,
            0,
            0,
            24,
            ImageFormat::Z_PIXMAP.into(),
            false,
            self.segment,
            0,
        )?;
        self.sync()
    }

    /// Waits until the server has done everything asked.
    fn sync(&mut self) -> Result<(), Box<dyn Error>> {
        self.connection.get_input_focus()?.reply()?;
        Ok(())
    }
}
